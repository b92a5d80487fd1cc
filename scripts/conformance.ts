// `npm run conformance -- --url https://host:9001`: the checklist of the Portainer contract against any agent. Makes one
// container and volume on each node, and removes them, whatever ends the run. Without `--key` an agent that nobody owns
// belongs to a new key.

import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { type Abilities, createBench } from '../test/conformance/suite/bench.ts';
import { createLedger, type Ledger } from '../test/conformance/suite/ledger.ts';
import {
  chooseRows,
  exitCodeOf,
  formatTable,
  type Row,
  type RowResult,
  runRows,
} from '../test/conformance/suite/row.ts';
import { rows } from '../test/conformance/suite/rows.ts';
import { createSigner } from '../test/support/signer.ts';

const usage = `npm run conformance -- --url https://host:9001 [options]

  --key FILE      the private key (PEM) of the Portainer that the agent belongs to
  --secret TEXT   the agent's AGENT_SECRET
  --image NAME    an image with a shell that all nodes have (default: busybox:latest)
  --only C1,W4    these rows alone
  --long          waits of half an hour, bodies of 1 GiB
`;
const dockerTimeoutMs = 60_000;
/** As a shell names the end by a signal. */
const interruptions = { SIGINT: 130, SIGTERM: 143 } as const;

const { values } = parseArgs({
  options: {
    url: { type: 'string' },
    key: { type: 'string' },
    secret: { type: 'string' },
    image: { type: 'string', default: 'busybox:latest' },
    only: { type: 'string' },
    long: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const { chosen, unknown } = chooseRows(rows, values.only);

if (values.help || values.url === undefined) {
  process.stdout.write(usage);
  process.exitCode = values.help ? 0 : 2;
} else if (unknown.length > 0) {
  const known = rows.map(({ id }) => id).join(', ');
  process.stderr.write(`no such row: ${unknown.join(', ')}\nrows: ${known}\n\n${usage}`);
  process.exitCode = 2;
} else {
  const url = new URL(values.url);
  await untilInterrupted((ledger) => run(url, chosen, ledger));
}

/** Ends the process. What the work owes is removed first, also when a signal interrupts it. */
async function untilInterrupted(work: (ledger: Ledger) => Promise<number>): Promise<never> {
  const interrupted = Promise.withResolvers<number>();
  for (const [name, code] of Object.entries(interruptions)) {
    // For good: a terminal and npm each send the signal.
    process.on(name, () => {
      process.stderr.write(`\n${name}: removing what was made\n`);
      interrupted.resolve(code);
    });
  }
  let code: number;
  {
    await using ledger = createLedger();
    code = await Promise.race([work(ledger), interrupted.promise]);
  }
  // Rows that were interrupted would go on.
  process.exit(code);
}

async function run(url: URL, chosen: readonly Row[], ledger: Ledger): Promise<number> {
  const { secret, key, image, long } = values;
  const bench = await createBench({
    address: { kind: 'tls', host: url.hostname.replace(/^\[|\]$/g, ''), port: Number(url.port || 9001) },
    signer: createSigner({
      ...(secret !== undefined && { secret }),
      ...(key !== undefined && { privateKeyPem: readFileSync(key, 'utf8') }),
    }),
    ...(secret !== undefined && { secret }),
    image,
    long,
    abilities: abilitiesHere(),
    ledger,
  });
  const results = await runRows(chosen, bench, showProgress);
  process.stdout.write(`\n\n${formatTable(results)}`);
  return exitCodeOf(results);
}

function showProgress({ row, outcome }: RowResult): void {
  const mark = { pass: '.', fail: '!', 'not-run': '-' }[outcome.kind];
  process.stderr.write(outcome.kind === 'fail' ? `${mark}(${row.id})` : mark);
}

/** From outside there is little: other agents cannot be started, stopped or looked into. */
function abilitiesHere(): Abilities {
  const folders = (process.env.PATH ?? '').split(delimiter);
  const docker = folders.map((folder) => join(folder, 'docker')).find((file) => existsSync(file));
  if (docker === undefined) return {};
  const call = promisify(execFile);
  return {
    docker: async (args) => (await call(docker, [...args], { timeout: dockerTimeoutMs })).stdout,
  };
}
