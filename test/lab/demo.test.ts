// `npm run demo` from start to end: what it shows, that the commands it prints work, and that `down` removes all.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'mocha';

import { eventually } from '../support/eventually.ts';
import { type CommandResult, runCommand } from '../support/lab/command.ts';
import { removeLabsNamed } from '../support/lab/reaper.ts';
import { listLabs } from '../support/lab/state.ts';

const demoTimeoutMs = 150_000;
const name = `demo-test-${process.pid}`;

describe('the demo', function () {
  this.timeout(demoTimeoutMs);
  let shown = '';

  before(async () => {
    shown = (await demo([])).stdout;
  });

  after(async () => {
    await removeLabsNamed(name);
  });

  it('shows the containers of all nodes, listed by one agent', () => {
    for (const node of [1, 2, 3]) {
      assert.match(shown, new RegExp(`^ +node-${node} +web-${node} `, 'm'));
      assert.match(shown, new RegExp(`^ +node-${node} +flotilla_agent\\.`, 'm'));
    }
  });

  it('prints commands that work with the docker CLI of Debian', async () => {
    const all = await printed('cluster ps');
    for (const container of ['web-1', 'web-2', 'web-3', 'worker-1']) assert.ok(all.includes(container), all);
    assert.equal(await printed('node-2 run'), 'node-2\n');
    assert.match(await printed('manager node ls'), /node-1 .*Leader/);
    assert.match(await printed('manager service ps'), /flotilla_agent/);
  });

  it('shows what is left when a node goes silent, and all again afterwards', async () => {
    await demo(['cut', 'node-3']);
    await eventually(
      async () => {
        const left = await printed('cluster ps');
        assert.match(left, /web-1[\s\S]*web-2|web-2[\s\S]*web-1/);
        assert.doesNotMatch(left, /web-3/);
      },
      { withinMs: 10_000 },
    );
    await demo(['reconnect']);
    await eventually(async () => assert.match(await printed('cluster ps'), /web-3/), { withinMs: 10_000 });
  });

  it('is removed by `down`', async () => {
    assert.match((await demo(['down'])).stdout, /removed/);
    assert.deepEqual(
      listLabs().filter((state) => state.name === name),
      [],
    );
  });

  /** Runs the printed command whose words go on like this. */
  async function printed(words: string): Promise<string> {
    const pattern = new RegExp(
      `^  (DOCKER_CONFIG=.*/${words.replace(' ', ' docker --tls -H \\S+ ')}.*)$`,
      'm',
    );
    const line = pattern.exec(shown)?.[1];
    assert.ok(line, `no command for "${words}" in:\n${shown}`);
    return (await runCommand(['sh', '-c', line.replace(' docker ', ' /usr/bin/docker ')])).stdout;
  }
});

function demo(args: readonly string[]): Promise<CommandResult> {
  const env = { ...process.env, FLOTILLA_DEMO_NAME: name };
  return runCommand([process.execPath, 'scripts/demo.ts', ...args], { env, timeoutMs: demoTimeoutMs });
}
