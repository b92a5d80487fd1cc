// `npm run image`: builds the bundle, then the image from the Dockerfile, on the engine that the docker CLI talks to.
// `-- --host unix:///path` names another engine, `-- --tag name` another tag than flotilla:dev.

import { spawnSync } from 'node:child_process';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const buildTimeoutMs = 300_000;

const { values } = parseArgs({
  options: { host: { type: 'string' }, tag: { type: 'string', default: 'flotilla:dev' } },
});
run(process.execPath, ['scripts/build.ts']);
const host = values.host === undefined ? [] : ['--host', values.host];
run('docker', [...host, 'build', '--tag', values.tag, '.']);

function run(command: string, args: readonly string[]): void {
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    stdio: 'inherit',
    timeout: buildTimeoutMs,
  });
  if (status === 0) return;
  process.stderr.write(`${command} ${args.join(' ')}: ${error?.message ?? `exit code ${status}`}\n`);
  process.exit(1);
}
