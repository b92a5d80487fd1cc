// The whole checklist of the Portainer contract on real engines: a standalone one, and a Swarm of three that is asked
// through a worker. The same rows run against any agent by `npm run conformance`.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { type Abilities, type Bench, createBench, type FreshAgent } from '../conformance/suite/bench.ts';
import { formatTable, type Row, type RowResult, runRow } from '../conformance/suite/row.ts';
import { rows } from '../conformance/suite/rows.ts';
import { consoleRows } from '../conformance/suite/rows-console.ts';
import { type AgentLab, createAgentLab, printLogsOnFailure, ready } from '../support/agent-lab.ts';
import { eventually } from '../support/eventually.ts';
import { type LabAgent, startAgent } from '../support/lab/agents.ts';
import { runCommand } from '../support/lab/command.ts';
import { busyboxImage } from '../support/lab/images.ts';
import { createLab, type Lab } from '../support/lab/lab.ts';
import type { LabNode } from '../support/lab/node.ts';
import { isLong } from '../support/scale.ts';
import { createSigner } from '../support/signer.ts';
import { spawnAgent } from '../support/spawn-agent.ts';

const agentPort = 9001;
const wholeWithinMs = 40_000;
const setUpMs = 180_000;
const titles = {
  alone: 'on a standalone engine',
  swarm: 'on a Swarm of three, asked through a worker',
} as const;

type BenchName = keyof typeof titles;
const benchNames = ['alone', 'swarm'] as const;

describe('the Portainer contract', function () {
  this.timeout(setUpMs);
  let standalone: Lab;
  let swarm: AgentLab;
  let alone: LabAgent;
  const benches: Partial<Record<BenchName, Bench>> = {};
  const waiting = { alone: new Map<Row, Promise<RowResult>>(), swarm: new Map<Row, Promise<RowResult>>() };
  const tables = new Map<string, RowResult[]>();

  before(async () => {
    swarm = await createAgentLab({ nodes: 3, swarm: true });
    standalone = await createLab({ nodes: 1, swarm: false });
    swarm.startAll();
    alone = startAgent(standalone.node(1));
    await ready(alone);
    await swarm.whole(wholeWithinMs);
    benches.alone = await createBench({
      address: { kind: 'tls', host: alone.node.address, port: agentPort },
      signer: createSigner(),
      image: busyboxImage,
      long: isLong,
      abilities: aloneAbilities(alone),
    });
    benches.swarm = await createBench({
      address: { kind: 'tls', host: swarm.node(2).address, port: agentPort },
      signer: swarm.signer,
      image: busyboxImage,
      long: isLong,
      abilities: swarmAbilities(swarm),
    });
    // They take minutes of nothing but waiting, and the others are carried out meanwhile.
    const { alone: one, swarm: three } = benches;
    for (const row of rows.filter(({ waits }) => waits === true)) {
      waiting.alone.set(row, runRow(row, one));
      waiting.swarm.set(row, runRow(row, three));
    }
  });

  after(async () => {
    for (const [on, results] of tables) process.stdout.write(`\n${on}\n\n${formatTable(results)}`);
    await using stack = new AsyncDisposableStack();
    // The last one first: a lab ends though its bench left something behind, and that is told.
    for (const one of [standalone, swarm]) stack.use(one);
    stack.defer(() => alone?.kill());
    for (const one of [benches.alone, benches.swarm]) stack.use(one);
  });

  printLogsOnFailure(() => swarm);

  for (const on of benchNames) {
    describe(titles[on], () => {
      for (const row of rows.filter((one) => one.waits !== true && !killsAgents(one) && isFor(one, on)))
        itRuns(row, on);
    });
  }

  it('npm run conformance tells the same of the agent at a URL, and fails with a stranger’s key', async () => {
    const { signer, nodes } = swarm;
    const folder = await mkdtemp(join(tmpdir(), 'conformance-'));
    try {
      await writeFile(join(folder, 'key.pem'), signer.privateKeyPem);
      await writeFile(join(folder, 'other.pem'), createSigner().privateKeyPem);
      const call = (key: string): ReturnType<typeof runCommand> => {
        const url = `https://${nodes[1]?.address}:${agentPort}`;
        const options = ['--image', busyboxImage, '--only', 'C1,C7,S2,W2,B3'];
        const script = [process.execPath, 'scripts/conformance.ts', '--url', url, '--key', join(folder, key)];
        return runCommand([...script, ...options], { allowFailure: true, timeoutMs: setUpMs });
      };
      const told = await call('key.pem');
      assert.equal(told.code, 0, `${told.stdout}${told.stderr}`);
      const lines = told.stdout.split('\n').map((line) => line.split(/ {2,}/));
      for (const [row, result] of [
        ['C1', /^pass$/],
        ['C7', /^not run: needs a second agent$/],
        ['S2', /^pass$/],
        ['W2', /^pass$/],
        ['B3', /^pass$/],
      ] as const) {
        assert.match(lines.find(([id]) => id === row)?.[2] ?? '', result, told.stdout);
      }
      assert.notEqual((await call('other.pem')).code, 0);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('npm run conformance leaves nothing on any node, cut short by a signal or by a node without the image', async () => {
    const entry = swarm.node(2);
    const before = await madeOn(swarm.nodes);
    const folder = await mkdtemp(join(tmpdir(), 'conformance-'));
    try {
      const key = join(folder, 'key.pem');
      await writeFile(key, swarm.signer.privateKeyPem);
      const url = `https://${entry.address}:${agentPort}`;
      const script = ['scripts/conformance.ts', '--url', url, '--key', key, '--only', 'C10'];
      for (const [signal, code] of [
        ['SIGINT', 130],
        ['SIGTERM', 143],
      ] as const) {
        const child = spawn(process.execPath, [...script, '--image', busyboxImage], { stdio: 'ignore' });
        const exited = once(child, 'exit', { signal: AbortSignal.timeout(setUpMs) });
        try {
          // On every node, or, for the other signal, while they are being made.
          const enough = signal === 'SIGTERM' ? before.length + 2 * swarm.nodes.length : before.length + 1;
          await eventually(async () => assert.ok((await madeOn(swarm.nodes)).length >= enough), {
            withinMs: wholeWithinMs,
          });
          child.kill(signal);
          assert.deepEqual(await exited, [code, null]);
        } finally {
          child.kill('SIGKILL');
        }
        assert.deepEqual(await madeOn(swarm.nodes), before);
      }
      // The entry's own comes first, so that there is something to remove.
      const onlyHere = 'only-here:latest';
      await entry.docker(['tag', busyboxImage, onlyHere]);
      const failed = await runCommand([process.execPath, ...script, '--image', onlyHere], {
        allowFailure: true,
      });
      assert.equal(failed.code, 1);
      assert.match(failed.stderr, /No such image: only-here/);
      assert.deepEqual(await madeOn(swarm.nodes), before);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  // Suites of their own: tests of this one would come before all of the nested ones.
  describe('beside the others: consoles that idle on every node', () => itWaited(consoleRows));

  describe('with agents killed, once no console is open on them', () => {
    for (const row of rows.filter(killsAgents)) itRuns(row, 'swarm');
  });

  describe('beside the others: the rest', () => itWaited(rows.filter((row) => !consoleRows.includes(row))));

  function itRuns(row: Row, on: BenchName): void {
    it(`${row.id} ${row.what}`, async () => {
      const bench = benches[on];
      assert.ok(bench);
      check(titles[on], await runRow(row, bench));
    }).timeout((row.timeoutMs ?? setUpMs) + 10_000);
  }

  function itWaited(some: readonly Row[]): void {
    for (const row of some.filter(({ waits }) => waits === true)) {
      for (const on of benchNames) {
        it(`${row.id} ${row.what}: ${titles[on]}`, async () => {
          const result = await waiting[on].get(row);
          assert.ok(result);
          check(titles[on], result);
        }).timeout((row.timeoutMs ?? setUpMs) + 10_000);
      }
    }
  }

  /** Here an improvement that is missing is a failure, and so is a row that cannot be run. */
  function check(on: string, result: RowResult): void {
    tables.set(on, [...(tables.get(on) ?? []), result]);
    const { outcome } = result;
    if (outcome.kind === 'fail') assert.fail(outcome.why);
    assert.equal(outcome.kind, 'pass', JSON.stringify(outcome));
  }
});

/** What needs other nodes runs on the Swarm, what spoils an agent on the standalone engine, all else on both. */
function isFor({ needs = [] }: Row, on: 'alone' | 'swarm'): boolean {
  if (needs.includes('secret')) return false;
  if (needs.includes('swarm')) return on === 'swarm';
  return on === 'alone' || !needs.includes('fresh');
}

function killsAgents({ needs = [] }: Row): boolean {
  return needs.includes('kill');
}

function aloneAbilities({ pid, node: { engineSocket } }: LabAgent): Abilities {
  return {
    residentBytes: () => residentBytesOf(pid),
    fresh: (env, recorded) => startFresh(engineSocket, env, recorded),
    hub: async (respond) => {
      const server = createHttpServer((req, res) => {
        const { status, headers, body } = respond(req.url ?? '');
        res.writeHead(status, { ...headers }).end(body);
      });
      return { url: `http://127.0.0.1:${await listen(server)}`, [Symbol.asyncDispose]: () => close(server) };
    },
  };
}

function swarmAbilities(swarm: AgentLab): Abilities {
  const nodeOf = (name: string): LabNode => {
    const node = swarm.nodes.find((one) => one.name === name);
    assert.ok(node, name);
    return node;
  };
  return {
    residentBytes: (name) => residentBytesOf(swarm.agent(nodeOf(name)).pid),
    docker: async (args) => (await runCommand(['docker', ...args])).stdout,
    kill: (name) => swarm.agent(nodeOf(name)).kill(),
    restart: async (name) => {
      const node = nodeOf(name);
      swarm.start(node);
      const running = swarm.nodes.filter((one) => swarm.agent(one).running());
      await swarm.whole(wholeWithinMs, running);
    },
    promote: (name) => swarm.lab.promote(nodeOf(name)),
    demote: (name) => swarm.lab.demote(nodeOf(name)),
  };
}

/** Containers and volumes of any run of the suite, sorted. */
async function madeOn(nodes: readonly LabNode[]): Promise<readonly string[]> {
  const lists = await Promise.all(
    nodes.flatMap(({ docker }) => [
      docker(['ps', '--all', '--format', '{{.Names}}', '--filter', 'name=flotilla-conformance-']),
      docker(['volume', 'ls', '--quiet', '--filter', 'name=flotilla-conformance-']),
    ]),
  );
  return lists.flatMap((list) => list.split('\n').filter((line) => line !== '')).toSorted();
}

async function residentBytesOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1_024;
}

async function startFresh(
  engineSocket: string,
  env: Readonly<Record<string, string>>,
  recorded?: (bytes: Buffer) => void,
): Promise<FreshAgent> {
  await using stack = new AsyncDisposableStack();
  let socket = engineSocket;
  if (recorded !== undefined) {
    const folder = await mkdtemp(join(tmpdir(), 'recorded-'));
    stack.defer(() => rm(folder, { recursive: true, force: true }));
    socket = join(folder, 'docker.sock');
    const recorder = startRecorder(engineSocket, socket, recorded);
    stack.defer(() => close(recorder));
    await once(recorder, 'listening');
  }
  const agent = stack.use(await spawnAgent({ engineSocket: socket, env }));
  const disposal = stack.move();
  return {
    compat: agent.compat,
    running: agent.running,
    logText: agent.logText,
    [Symbol.asyncDispose]: () => disposal.disposeAsync(),
  };
}

/** Passes everything to the engine, and tells what it passes. */
function startRecorder(engineSocket: string, path: string, recorded: (bytes: Buffer) => void): Server {
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const engine = connect({ path: engineSocket, allowHalfOpen: true });
    const end = (): void => {
      client.destroy();
      engine.destroy();
    };
    for (const socket of [client, engine]) socket.on('error', end).on('close', end);
    client.on('data', recorded);
    client.pipe(engine);
    engine.pipe(client);
  });
  return server.listen(path);
}

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  // A server that listens on TCP has an address of this kind.
  return (server.address() as AddressInfo).port;
}

async function close(server: Server & { closeAllConnections?: () => void }): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections?.();
  await closed;
}
