// What the docker CLI is told on the cluster socket when a name alone does not say who is meant, and that the words it is
// told to use instead work: `node/name`, a prefix, a full id. On three real nodes, the last of which loses its agent.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';

import { type AgentLab, createAgentLab, patient, printLogsOnFailure } from '../support/agent-lab.ts';
import { eventually } from '../support/eventually.ts';
import { busyboxImage } from '../support/lab/images.ts';
import type { LabNode } from '../support/lab/node.ts';

const testTimeoutMs = 120_000;
const wholeWithinMs = 30_000;

describe('an ambiguous name on the cluster socket', function () {
  this.timeout(testTimeoutMs);
  let agents: AgentLab;
  let second: LabNode;
  let third: LabNode;

  before(async () => {
    agents = await createAgentLab({ nodes: 3, swarm: false, env: patient });
    agents.startAll();
    await agents.whole(wholeWithinMs);
    second = agents.node(2);
    third = agents.node(3);
    await eventually(() => docker('version'), { withinMs: wholeWithinMs });
  });

  after(async () => {
    await agents?.[Symbol.asyncDispose]();
  });

  printLogsOnFailure(() => agents);

  /** Against the whole cluster, by the socket of the first node. */
  const docker = async (...args: readonly string[]): Promise<string> => {
    const host = `unix://${join(agents.node(1).runDir, 'flotilla/docker.sock')}`;
    return (await agents.node(1).docker(args, { env: { DOCKER_HOST: host } })).trim();
  };
  const refused = (message: RegExp, ...args: readonly string[]): Promise<void> =>
    assert.rejects(docker(...args), message);
  const create = async (node: LabNode, name: string): Promise<string> =>
    (await node.docker(['create', '--name', name, busyboxImage, 'sleep', '1000'])).trim();
  const namesOn = async (node: LabNode, ...state: readonly string[]): Promise<readonly string[]> =>
    (await node.docker(['ps', '--format', '{{.Names}}', ...state])).split('\n').filter((name) => name !== '');
  const imageOn = async (node: LabNode): Promise<string> =>
    (await node.docker(['image', 'inspect', '--format', '{{.Id}}', busyboxImage])).trim();
  const either = (name: string): RegExp =>
    new RegExp(`ambiguous: ${second.name}/${name}, ${third.name}/${name}; name one`);

  it('is refused for a container, and `node/name`, a prefix or the last one of the name are not', async () => {
    const id = await create(second, 'twin');
    await create(third, 'twin');
    await refused(either('twin'), 'start', 'twin');
    await refused(either('twin'), 'inspect', '--type', 'container', 'twin');
    await docker('start', `${third.name}/twin`);
    assert.deepEqual(await namesOn(second), []);
    assert.deepEqual(await namesOn(third), ['twin']);
    await docker('rename', id.slice(0, 12), 'other');
    assert.deepEqual(await namesOn(second, '--all'), ['other']);
    assert.equal(
      await docker('exec', 'twin', 'hostname'),
      await docker('exec', `${third.name}/twin`, 'hostname'),
    );
    await docker('rm', '--force', 'twin', 'other');
    assert.deepEqual([...(await namesOn(second, '--all')), ...(await namesOn(third, '--all'))], []);
  });

  it('is read but not changed for a tag that means different images', async () => {
    // Imported on each node by itself, so that no two have the same id.
    assert.equal(
      await docker('image', 'inspect', '--format', '{{.Id}}', busyboxImage),
      await imageOn(agents.node(1)),
    );
    await refused(/several nodes have image/, 'rmi', busyboxImage);
    await refused(/several nodes have image/, 'tag', busyboxImage, 'other:1');
    assert.equal(
      await docker('image', 'inspect', '--format', '{{.Id}}', `${third.name}/${busyboxImage}`),
      await imageOn(third),
    );
  });

  it('is read but not removed for an image that several have', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'flotilla-ambiguity-'));
    try {
      const file = join(folder, 'image.tar');
      await second.docker(['tag', busyboxImage, 'team/tool:1']);
      await second.docker(['save', '--output', file, 'team/tool:1']);
      await third.docker(['load', '--input', file]);
    } finally {
      await rm(folder, { recursive: true });
    }
    const image = await docker('image', 'inspect', '--format', '{{.Id}}', 'team/tool:1');
    assert.equal(image, await imageOn(second));
    await refused(/several nodes have image/, 'rmi', 'team/tool:1');
    await refused(/several nodes have image/, 'rmi', image);
    await docker('rmi', `${second.name}/team/tool:1`);
    assert.equal(await docker('image', 'inspect', '--format', '{{.Id}}', 'team/tool:1'), image);
    await docker('rmi', 'team/tool:1');
    await refused(/No such image: team\/tool:1/, 'image', 'inspect', 'team/tool:1');
  });

  it('is refused for a volume', async () => {
    for (const node of [second, third]) await node.docker(['volume', 'create', 'data']);
    await refused(either('data'), 'volume', 'inspect', 'data');
    await refused(either('data'), 'volume', 'rm', 'data');
    await docker('volume', 'rm', `${second.name}/data`);
    await docker('volume', 'rm', 'data');
    await refused(/no such volume/i, 'volume', 'inspect', 'data');
  });

  it('is refused for a network, above all for those that every engine has', async () => {
    for (const node of [second, third]) await node.docker(['network', 'create', 'net']);
    await refused(either('net'), 'network', 'rm', 'net');
    await docker('network', 'rm', `${second.name}/net`);
    await docker('network', 'rm', 'net');
    await refused(/every engine has its own network of this name/, 'network', 'inspect', 'bridge');
    const bridge = await docker('network', 'inspect', '--format', '{{.Id}}', `${third.name}/bridge`);
    assert.equal(
      bridge,
      (await third.docker(['network', 'inspect', '--format', '{{.Id}}', 'bridge'])).trim(),
    );
  });

  it('is refused for changes while an agent is gone, and the message says what works instead', async () => {
    const ids = [await create(second, 'one'), await create(second, 'two')];
    await agents.agent(third).kill();
    const gone = new RegExp(`${third.name} \\((?:dead|refused|reset|breaker-open)\\)`);
    await refused(gone, 'rm', 'one');
    await refused(new RegExp(`the full id ${ids[0]}`), 'rm', 'one');
    assert.equal(await docker('inspect', '--format', '{{.Id}}', 'one'), ids[0]);
    await docker('rm', ids[0] ?? '');
    await docker('rm', `${second.name}/two`);
    assert.deepEqual(await namesOn(second, '--all'), []);
    await refused(/No such container: nobody \(flotilla: not asked: /, 'start', 'nobody');
    await refused(gone, 'start', 'nobody');
    await refused(gone, 'start', `${third.name}/twin`);
  });
});
