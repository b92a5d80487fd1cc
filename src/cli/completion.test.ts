// Completion in a real bash: the script is sourced, and asked as bash asks it when somebody presses the tab key.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { program, withControlSocket } from '../../test/support/run-cli.ts';
import { commandSpecs } from './commands.ts';
import { completionText } from './completion.ts';

const bashTimeoutMs = 15_000;

/** What bash offers behind this line; the line ends where the cursor is. */
function offered(line: string, controlSocket = '/nowhere'): Promise<readonly string[]> {
  const script = `${completionText('bash')}
flotilla() { '${process.execPath}' '${program}' "$@"; }
read -r -a COMP_WORDS <<< "$1"
[[ $1 == *' ' ]] && COMP_WORDS+=('')
COMP_CWORD=$(( \${#COMP_WORDS[@]} - 1 ))
_flotilla
printf '%s\\n' "\${COMPREPLY[@]}"`;
  return new Promise((resolve, reject) => {
    const env = { PATH: process.env.PATH, FLOTILLA_CONTROL_SOCKET: controlSocket };
    const options = { env, timeout: bashTimeoutMs };
    execFile('bash', ['--norc', '-c', script, 'bash', line], options, (error, out, err) => {
      if (error === null && err === '') resolve(out.split('\n').filter((word) => word !== ''));
      else reject(new Error(`bash: ${err}`, { cause: error }));
    });
  });
}

describe('completion', function () {
  // Several shells, and an agent's CLI in some of them.
  this.timeout(60_000);

  it('offers commands, their words and their options', async () => {
    assert.deepEqual(await offered('flotilla '), [
      'agent',
      ...commandSpecs.map(({ name }) => name),
      'version',
      'help',
    ]);
    assert.deepEqual(await offered('flotilla co'), ['context', 'completion']);
    assert.deepEqual(await offered('flotilla context '), ['create', 'list', 'rm']);
    assert.deepEqual(await offered('flotilla context create --s'), ['--sockets']);
    assert.deepEqual(await offered('flotilla keys list '), []);
    assert.deepEqual(await offered('flotilla agent --log-'), ['--log-level', '--log-mode']);
  });

  it('offers files where a path is wanted, for the command that wants one', async () => {
    const [folder] = await offered(`flotilla context create --sockets ${import.meta.dirname.slice(0, -1)}`);
    assert.equal(folder, import.meta.dirname);
    assert.deepEqual(await offered('flotilla context create --prefix '), []);
    assert.deepEqual(await offered('flotilla agent --sockets '), []);
  });

  it('offers the nodes that the agent knows, and none without it', async () => {
    const nodes = ['node-1', 'node-2', 'other'].map((name) => ({ name }));
    await withControlSocket({ 'GET /nodes': [200, { nodes }] }, async (path) => {
      assert.deepEqual(await offered('flotilla doctor node', path), ['node-1', 'node-2']);
      assert.deepEqual(await offered('flotilla nodes --json o', path), ['other']);
      assert.deepEqual(await offered('flotilla context create --node ', path), ['node-1', 'node-2', 'other']);
    });
    assert.deepEqual(await offered('flotilla doctor '), []);
  });

  it('knows every command and option in the other shells too', () => {
    for (const shell of ['zsh', 'fish']) {
      const text = completionText(shell);
      for (const { name, options } of commandSpecs) {
        assert.ok(text.includes(name), `${shell} ${name}`);
        for (const option of options) {
          const shown = shell === 'zsh' ? `--${option.name}` : `-l ${option.name}`;
          assert.ok(text.includes(shown), `${shell} ${name} ${option.name}`);
        }
      }
    }
  });
});
