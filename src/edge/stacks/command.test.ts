// Real programs: what they print, how they end, and that they end.

import assert from 'node:assert/strict';
import { eventually } from '../../../test/support/eventually.ts';
import { type Command, runCommand } from './command.ts';

function shell(script: string, changes: Partial<Command> = {}): Command {
  const env = { PATH: '/usr/bin:/bin' };
  return { file: '/bin/sh', args: ['-c', script], env, folder: '/', timeoutMs: 10_000, ...changes };
}

const never = new AbortController().signal;

describe('command', () => {
  it('gives output, errors and code', async () => {
    const result = await runCommand(shell('echo out; echo bad >&2; exit 3'), never);
    assert.deepEqual(result, { code: 3, output: 'out\n', errors: 'bad\n' });
  });

  it('has the variables and the folder that it was given, and no others', async () => {
    const { output } = await runCommand(
      shell('env | sort; pwd', { env: { A: '1;2' }, folder: '/usr' }),
      never,
    );
    assert.match(output, /^A=1;2$/m);
    assert.doesNotMatch(output, /^HOME=/m);
    assert.match(output, /^\/usr$/m);
  });

  it('passes arguments as they are, past any shell', async () => {
    const args = ['%s|', '$(id)', '; exit 9', '*'];
    const { output } = await runCommand(shell('', { file: '/usr/bin/printf', args }), never);
    assert.equal(output, '$(id)|; exit 9|*|');
  });

  it('ends with the time that it has', async () => {
    await assert.rejects(runCommand(shell('exec sleep 100', { timeoutMs: 50 }), never), { code: 'timeout' });
  });

  it('ends with the signal', async () => {
    const abort = new AbortController();
    const running = runCommand(shell('echo $$; exec sleep 100'), abort.signal);
    abort.abort();
    await assert.rejects(running, { code: 'cancelled' });
    await assert.rejects(runCommand(shell('true'), abort.signal), { code: 'cancelled' });
  });

  it('ends when its output has no end', async () => {
    await assert.rejects(runCommand(shell('exec yes'), never), { code: 'limit-exceeded' });
  });

  it('does not wait for what a program leaves behind', async () => {
    const { output } = await runCommand(shell('sleep 20 & echo $!'), never);
    process.kill(Number(output), 'SIGKILL');
    await eventually(() => !isAlive(Number(output)));
  });

  it('says what could not be run', async () => {
    await assert.rejects(runCommand(shell('', { file: '/nowhere/docker' }), never), {
      code: 'unavailable',
      message: /run \/nowhere\/docker -c: .*ENOENT/,
    });
  });
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
