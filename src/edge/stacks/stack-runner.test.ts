// What the programs are asked to do, with programs that write it down.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { runCommand } from './command.ts';
import { createStackRunner } from './stack-runner.ts';

describe('runner of stacks', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'flotilla-runner-'));
    for (const program of ['docker', 'docker-compose'])
      await writeFile(path.join(folder, program), `#!/bin/sh\necho ${program} "$@" >> calls\n`, {
        mode: 0o755,
      });
  });

  afterEach(() => rm(folder, { recursive: true, force: true }));

  const deploy = async (mode: 'compose' | 'swarm', prune: boolean): Promise<string> => {
    const runner = createStackRunner(runCommand, {
      places: { assetsPath: folder, hostRoot: '/nowhere', path: '' },
      environment: { PATH: '/usr/bin:/bin' },
      dockerSocket: '/nowhere.sock',
      edgeId: 'e',
    });
    const deployment = { mode, project: 'edge_web', folder, composeFile: 'c.yml', variables: {}, prune };
    await runner.deploy(deployment, new AbortController().signal);
    return readFile(path.join(folder, 'calls'), 'utf8');
  };

  it('deploys to a Swarm, and removes what another stack of the name left there', async () => {
    assert.equal(
      await deploy('swarm', true),
      'docker stack deploy --with-registry-auth --prune --compose-file c.yml edge_web\n',
    );
  });

  it('leaves services alone that the file does not have', async () => {
    assert.equal(
      await deploy('swarm', false),
      'docker stack deploy --with-registry-auth --compose-file c.yml edge_web\n',
    );
  });

  it('deploys to one host with Compose', async () => {
    assert.equal(await deploy('compose', false), 'docker-compose -f c.yml --project-name edge_web up -d\n');
  });
});
