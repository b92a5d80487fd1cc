// The docker CLI as Portainer's server calls it for Swarm stacks: with a config.json whose headers go with every request.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../../support/eventually.ts';
import type { Bench } from './bench.ts';

export interface StackRun extends AsyncDisposable {
  readonly name: string;
  cli(...args: readonly string[]): Promise<string>;
}

const removedWithinMs = 30_000;
let stacksMade = 0;

/** A stack of one service `web`. Disposing removes it, as the bench's end does; the CLI can still be used after that. */
export async function deployedStack({ abilities, address, signer, image, owe }: Bench): Promise<StackRun> {
  const docker = abilities.docker;
  if (docker === undefined) throw new Error('deploy a stack: no docker CLI');
  stacksMade += 1;
  const name = `conformance-${process.pid}-${stacksMade}`;
  const folder = await mkdtemp(join(tmpdir(), 'conformance-'));
  // As the server calls it; the argument of `--tlscacert` is two quote characters.
  const host = ['-H', `tcp://${address.host}:${address.port}`, '--tls', '--tlscacert', '""'];
  const HttpHeaders = { 'X-PortainerAgent-ManagerOperation': '1', ...signer.headers() };
  const cli = async (...args: readonly string[]): Promise<string> => {
    const config = await mkdtemp(join(tmpdir(), 'docker-config-'));
    try {
      await writeFile(join(config, 'config.json'), JSON.stringify({ HttpHeaders }));
      return await docker(['--config', config, ...host, ...args]);
    } finally {
      await rm(config, { recursive: true, force: true });
    }
  };
  // An engine refuses to remove a network while a task of the service that went a moment ago still ends in it.
  const remove = (): Promise<string> =>
    eventually(() => cli('stack', 'rm', name), { withinMs: removedWithinMs, everyMs: 500 });
  const debt = owe(async () => void (await remove()));
  try {
    const file = join(folder, 'stack.yml');
    const service = `{image: "${image}", command: sleep 1000, stop_grace_period: 0s}`;
    await writeFile(file, `version: "3.7"\nservices:\n  web: ${service}\n`);
    const options = ['--prune', '--with-registry-auth', '--resolve-image=never', '--compose-file', file];
    await cli('stack', 'deploy', ...options, name);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return { name, cli, [Symbol.asyncDispose]: () => debt[Symbol.asyncDispose]() };
}
