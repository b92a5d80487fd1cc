// The command line as people use it: as a process, with its words, its exit codes, and a real control socket.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HealthReport } from '../api/health.ts';
import { variables } from '../config/env.ts';
import { agentHelpText } from './help.ts';
import { forgetText, keysText } from './keys.ts';

const program = join(import.meta.dirname, '../flotilla.ts');
const runTimeoutMs = 8_000;

interface Run {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function flotilla(argv: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Run> {
  return new Promise((resolve) => {
    const options = { env: { PATH: process.env.PATH, ...env }, timeout: runTimeoutMs };
    execFile(process.execPath, [program, ...argv], options, (error, out, err) => {
      const code = typeof error?.code === 'number' ? error.code : error === null ? 0 : -1;
      resolve({ code, out, err });
    });
  });
}

/** A control socket that answers each path with a fixed status and value. */
async function withControlSocket(
  answers: Readonly<Record<string, readonly [number, unknown]>>,
  test: (path: string) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'cli-'));
  const path = join(folder, 'control.sock');
  const server = createServer((req, res) => {
    const [status, value] = answers[`${req.method} ${req.url}`] ?? [404, { error: 'no such command' }];
    res.writeHead(status).end(JSON.stringify(value));
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  try {
    await test(path);
  } finally {
    server.close();
    await rm(folder, { recursive: true, force: true });
  }
}

const report: HealthReport = {
  alive: true,
  ready: false,
  nodeName: 'node1',
  members: 2,
  missing: ['node3'],
  checks: [{ name: 'cluster', ok: false, reason: 'no other agent has answered yet' }],
};

describe('command line', () => {
  it('explains itself, on stderr and with code 2 when a word was wrong', async () => {
    const help = await flotilla(['--help']);
    assert.deepEqual([help.code, help.err], [0, '']);
    assert.match(help.out, /keys forget/);
    const wrong = await flotilla(['agnet']);
    assert.deepEqual([wrong.code, wrong.out], [2, '']);
    assert.match(wrong.err, /no such command: "agnet"/);
    assert.equal((await flotilla([])).code, 2);
    assert.equal((await flotilla(['keys', 'burn'])).code, 2);
    assert.equal((await flotilla(['health', '--loud'])).code, 2);
  });

  it('lists every option of the agent', () => {
    const text = agentHelpText();
    for (const { name, flags, use } of variables) {
      const shown = use === 'used' ? [name, ...flags.map((flag) => `--${flag}, `)] : [name];
      for (const word of shown) assert.ok(text.includes(word), word);
    }
    assert.match(text, /--port, AGENT_PORT \(int, default 9001\)/);
    assert.match(text, /--log-level, LOG_LEVEL \(ERROR\|WARN\|INFO\|DEBUG, default INFO\)/);
  });

  it('says where to look when no agent runs here', async () => {
    const { code, err } = await flotilla(['health', '--control-socket', '/nowhere/control.sock']);
    assert.equal(code, 1);
    assert.match(err, /no agent answers on \/nowhere\/control\.sock/);
    assert.match(err, /docker exec/);
  });

  it('refuses a secret file that is a device or larger than any secret', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'cli-'));
    try {
      const large = join(folder, 'large');
      await writeFile(large, 'x'.repeat(65_537));
      const { code, err } = await flotilla(['agent'], {
        AGENT_SECRET_FILE: '/dev/zero',
        FLOTILLA_CLUSTER_SECRET_FILE: large,
      });
      assert.equal(code, 2);
      assert.match(err, /AGENT_SECRET_FILE="\/dev\/zero": expected a readable file: not a file/);
      assert.match(err, /FLOTILLA_CLUSTER_SECRET_FILE=".*large": .* larger than 65536 bytes/);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('does not read an answer without end', async () => {
    await withControlSocket({ 'GET /health': [200, 'x'.repeat(5 * 1024 * 1024)] }, async (path) => {
      const { code, err } = await flotilla(['health', '--control-socket', path]);
      assert.equal(code, 1);
      assert.match(err, /answer larger than 4194304 bytes/);
    });
  });

  it('tells health by words, by JSON and by code', async () => {
    await withControlSocket({ 'GET /health': [200, report] }, async (path) => {
      const [words, ready, json] = await Promise.all([
        flotilla(['health'], { FLOTILLA_CONTROL_SOCKET: path }),
        flotilla(['health', '--ready', '--control-socket', path]),
        flotilla(['health', '--json', '--control-socket', path]),
      ]);
      assert.equal(words.code, 0);
      assert.match(words.out, /^node1: alive, not ready$/m);
      assert.match(words.out, /BAD cluster: no other agent has answered yet/);
      assert.match(words.out, /missing: node3/);
      assert.equal(ready.code, 1);
      assert.deepEqual(JSON.parse(json.out), report);
    });
  });

  it('forgets keys, and fails when a node was not reached', async () => {
    const nodes = [
      { node: 'node1', outcome: 'forgotten' },
      { node: 'node2', outcome: 'unreachable' },
    ];
    await withControlSocket({ 'POST /keys/forget': [200, { nodes }] }, async (path) => {
      const { code, out } = await flotilla(['keys', 'forget', '--control-socket', path]);
      assert.equal(code, 1);
      assert.equal(out, forgetText(nodes));
    });
    await withControlSocket({ 'POST /keys/forget': [500, { error: 'disk full' }] }, async (path) => {
      const { code, err } = await flotilla(['keys', 'forget', '--control-socket', path]);
      assert.equal(code, 1);
      assert.match(err, /disk full/);
    });
  });

  it('shows keys by fingerprint, time and node', () => {
    assert.match(
      keysText([{ publicKeyHex: '3059', associatedAtMs: 0, by: 'node1' }]),
      /^SHA256:[0-9a-f]{32} {2}since 1970-01-01T00:00:00\.000Z {2}by node node1\n$/,
    );
    assert.match(keysText([]), /no Portainer is associated/);
  });
});
