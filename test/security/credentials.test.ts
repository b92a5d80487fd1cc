// Credentials that are not there, captured, or in the wrong place.

import { deepEqual, equal, match, notEqual } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mark, startAgentUnderTest, useAgent } from '../support/checks.ts';
import { startFakeEngine } from '../support/fake-engine.ts';
import { requestRaw } from '../support/raw-http.ts';
import { createSigner } from '../support/signer.ts';
import { agentScript } from '../support/spawn-agent.ts';
import { assertRefused, signatureReason, warmUp } from './attack.ts';

const publicKey = 'X-PortainerAgent-PublicKey';
const signature = 'X-PortainerAgent-Signature';

describe('credential attacks', () => {
  const under = useAgent();

  for (const nothing of [
    '',
    ' ',
    '\t',
    'null',
    'undefined',
    '0',
    '""',
    '[]',
    '='.repeat(86),
    'A'.repeat(86),
    '\xa0',
  ]) {
    it(`A-41 ${JSON.stringify(nothing)} is no credential`, async () => {
      const good = under().signer.headers();
      for (const lines of [
        [`${publicKey}: ${nothing}`, `${signature}: ${nothing}`],
        [`${publicKey}: ${good[publicKey]}`, `${signature}: ${nothing}`],
      ]) {
        const bytes = [
          'GET /version HTTP/1.1',
          'Host: agent',
          'X-Client-Mark: test',
          ...lines,
          'Connection: close',
          '',
          '',
        ];
        await assertRefused(under(), Buffer.from(bytes.join('\r\n'), 'latin1'), {
          statuses: [403],
          reason: signatureReason,
        });
      }
    });
  }

  it('A-45 credentials in the query are none', async () => {
    await warmUp(under());
    const query = new URLSearchParams({ ...under().signer.headers(), token: 'x', access_token: 'y' });
    const answer = await requestRaw(under().agent.compat, { path: `/version?${query}`, headers: mark });
    equal(answer.status, 403);
    deepEqual(under().forwarded(), []);
    equal(under().agent.logText().includes(under().signer.publicKeyHex), false);
  });

  it('A-45 a refusal repeats nothing of what was sent', async () => {
    const headers = { [publicKey]: 'ab'.repeat(91), [signature]: 's3cretS3cret', Cookie: 'c0okie', ...mark };
    const answer = await requestRaw(under().agent.compat, { path: '/version?token=t0ken', headers });
    equal(answer.status, 403);
    const log = under().agent.logText();
    for (const text of ['s3cretS3cret', 'ab'.repeat(91), 'c0okie', 't0ken']) {
      equal(answer.body.includes(text), false, `${text} in the answer`);
      equal(log.includes(text), false, `${text} in the log`);
    }
  });

  it('A-45 registry credentials reach the engine and not the log', async () => {
    await warmUp(under());
    const auth = Buffer.from('{"password":"r3gistry"}').toString('base64url');
    const headers = { ...mark, 'X-Registry-Auth': auth, 'X-Registry-Config': auth };
    await under().request({ method: 'POST', path: '/images/create?fromImage=broken', headers });
    equal(under().forwarded()[0]?.headers.get('x-registry-auth'), auth);
    equal(under().agent.logText().includes(auth), false);
  });
});

describe('secret attacks', function () {
  this.timeout(30_000);

  it('A-43 a captured signature is worth nothing at an agent with another secret', async () => {
    const captured = createSigner({ secret: 'the secret of here' }).headers();
    await using here = await startAgentUnderTest({ env: { AGENT_SECRET: 'the secret of here' } });
    await using there = await startAgentUnderTest({ env: { AGENT_SECRET: 'the secret of there' } });
    equal((await requestRaw(here.agent.compat, { path: '/version', headers: captured })).status, 200);
    equal((await requestRaw(there.agent.compat, { path: '/version', headers: captured })).status, 403);
    // The scheme covers neither time nor path, so at the same agent it stays good (agent-api.md Q1).
    equal((await requestRaw(here.agent.compat, { path: '/info', headers: captured })).status, 200);
  });

  it('A-45 secrets are in no log, no error, no /info and no process list', async () => {
    const secrets = { AGENT_SECRET: 'agent-s3cret-value', FLOTILLA_CLUSTER_SECRET: 'cluster-s3cret-value' };
    await using under = await startAgentUnderTest({ env: secrets });
    const signer = createSigner({ secret: secrets.AGENT_SECRET });
    const answers = [
      await requestRaw(under.agent.compat, { path: '/info', headers: signer.headers() }),
      await requestRaw(under.agent.compat, { path: '/info' }),
      await requestRaw(under.agent.metrics, { path: '/metrics' }),
      await requestRaw(under.agent.metrics, { path: '/readyz' }),
    ];
    const commandLine = await readFile(`/proc/${under.agent.pid}/cmdline`, 'utf8');
    const places = [under.agent.logText(), commandLine, ...answers.map(({ body }) => body.toString())];
    for (const secret of Object.values(secrets)) {
      for (const place of places) equal(place.includes(secret), false, place.slice(0, 500));
    }
  });

  for (const [name, value] of [
    ['AGENT_SECRET', '   '],
    ['AGENT_SECRET', '\t\n'],
    ['FLOTILLA_CLUSTER_SECRET', ' '],
    ['FLOTILLA_CLUSTER_SECRET_FILE', 'an empty file'],
    ['FLOTILLA_CLUSTER_SECRET_FILE', '/nowhere/secret'],
  ] as const) {
    it(`A-41 the agent does not start with ${name} = ${JSON.stringify(value)}`, async () => {
      const folder = await mkdtemp(join(tmpdir(), 'agent-refused-'));
      try {
        await using engine = await startFakeEngine();
        const file = join(folder, 'secret');
        await writeFile(file, ' \n');
        const env = { [name]: value === 'an empty file' ? file : value };
        const { code, output } = await runAgent(folder, {
          ...env,
          FLOTILLA_DOCKER_SOCKET: engine.socketPath,
        });
        notEqual(code, 0);
        match(output, new RegExp(name));
        equal(/listening/.test(output), false, output);
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    });
  }
});

/** Runs an agent that is expected to end by itself. */
async function runAgent(
  folder: string,
  env: Record<string, string>,
): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [agentScript(), 'agent'], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env.PATH ?? '',
      AGENT_HOST: '127.0.0.1',
      AGENT_PORT: '0',
      DATA_PATH: folder,
      ...env,
    },
    timeout: 25_000,
    killSignal: 'SIGKILL',
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => (output += String(bytes)));
  const [code] = await once(child, 'close');
  // Null when it had to be killed, because it did start.
  notEqual(code, null, `the agent started:\n${output}`);
  return { code: code as number | null, output };
}
