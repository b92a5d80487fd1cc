// The command line as people use it: as a process, with its words, its exit codes, and a real control socket.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { flotilla, withControlSocket } from '../../test/support/run-cli.ts';
import type { HealthReport } from '../api/health.ts';
import { variables } from '../config/env.ts';
import { commandSpecs } from './commands.ts';
import { agentHelpText, commandHelpText, usageText } from './help.ts';
import { forgetText, keysText } from './keys.ts';

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
    const verb = await flotilla(['keys', 'burn']);
    assert.equal(verb.code, 2);
    assert.match(verb.err, /expected one of: flotilla keys list, flotilla keys forget/);
    assert.equal((await flotilla(['keys', 'list', 'more'])).code, 2);
    assert.equal((await flotilla(['context', 'create', '--prefix', '../x'])).code, 2);
    assert.equal((await flotilla(['health', '--loud'])).code, 2);
  });

  it('lists every command, and with --help every option of one', async () => {
    for (const spec of commandSpecs) {
      assert.match(usageText(), new RegExp(`^  ${spec.name} `, 'm'));
      const text = commandHelpText(spec);
      for (const { name } of spec.options) assert.ok(text.includes(`--${name}`), name);
      for (const { verb } of spec.verbs) assert.ok(text.includes(verb), verb);
    }
    const { code, out } = await flotilla(['doctor', '--help']);
    assert.equal(code, 0);
    assert.match(out, /^flotilla doctor \[node…\] \[options\]$/m);
  });

  it('documents every command and option', async () => {
    const text = await readFile(join(import.meta.dirname, '../../docs/CLI.md'), 'utf8');
    for (const { name, verbs, options } of commandSpecs) {
      const words = verbs.length === 0 ? [name] : verbs.map(({ verb }) => `${name} ${verb}`);
      for (const word of words) assert.ok(text.includes(`flotilla ${word}`), word);
      for (const option of options) assert.ok(text.includes(`--${option.name}`), `${name} --${option.name}`);
    }
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
