// A cluster whose engines speak different APIs, through the cluster socket of real agents: what it says that it speaks,
// what each engine is asked in, and what a client learns that wants what a node does not speak (engine-api.md 3).

import { deepEqual, equal, match } from 'node:assert/strict';
import { join } from 'node:path';
import { type AgentUnderTest, ttyContainer } from '../support/checks.ts';
import { eventually } from '../support/eventually.ts';
import { type RawAnswer, requestRaw } from '../support/raw-http.ts';
import { startTestCluster, type TestCluster } from '../support/test-cluster.ts';

/** Longer than agents take to notice that their engine was replaced. */
const noticedWithinMs = 20_000;

describe('engines of different versions on the cluster socket', function () {
  this.timeout(60_000);
  let cluster: TestCluster;
  let entry: AgentUnderTest;
  let other: AgentUnderTest;

  before(async () => {
    cluster = await startTestCluster({ names: ['node1', 'node2'], secret: 'the secret of these members' });
    entry = cluster.member('node1');
    other = cluster.member('node2');
    other.engine.state.containers = [{ ...ttyContainer, id: 'b'.repeat(64), name: 'elsewhere' }];
  });

  afterEach(function () {
    if (this.currentTest?.state === 'failed') for (const { agent } of cluster.members) agent.printLog();
  });

  after(() => cluster[Symbol.asyncDispose]());

  const ask = (path: string): Promise<RawAnswer> =>
    requestRaw({ kind: 'unix', path: join(entry.agent.socketDir, 'docker.sock') }, { path });
  const advertised = async (): Promise<string | undefined> =>
    (await ask('/_ping')).headers.get('api-version') ?? undefined;
  const lastList = ({ engine }: AgentUnderTest): string =>
    engine.receivedAt('/containers/json').at(-1)?.target ?? '';
  const listed = async (path: string): Promise<readonly string[]> => {
    const { status, body } = await ask(path);
    equal(status, 200, body.toString());
    const items = JSON.parse(body.toString()) as readonly { readonly Id: string }[];
    return items.map(({ Id }) => Id).toSorted();
  };
  const all = [ttyContainer.id, 'b'.repeat(64)].toSorted();

  it('tell the range that all share, on every answer', async () => {
    other.engine.become({ apiVersion: '1.40' });
    await eventually(async () => equal(await advertised(), '1.40'), { withinMs: noticedWithinMs });
    for (const path of ['/containers/json', '/version', '/info', '/containers/elsewhere/json', '/nope'])
      equal((await ask(path)).headers.get('api-version'), '1.40', path);
    const version = JSON.parse((await ask('/version')).body.toString()) as { readonly ApiVersion: string };
    equal(version.ApiVersion, '1.40');
  });

  it('answer a list in a version that only some speak: the others in the nearest', async () => {
    deepEqual(await listed('/v1.41/containers/json?all=1'), all);
    match(lastList(entry), /^\/v1\.41\//);
    match(lastList(other), /^\/v1\.40\//);
  });

  it('name the node and its range to a client that wants more of it', async () => {
    const { status, body } = await ask('/v1.41/containers/elsewhere/json');
    equal(status, 400);
    match(body.toString(), /too new\. Maximum supported API version is 1\.40 .*node2 speaks 1\.\d+ to 1\.40/);
  });

  it('are asked each in its own where the ranges do not meet', async () => {
    other.engine.become({ apiVersion: '1.52', minApiVersion: '1.44' });
    await eventually(async () => equal(await advertised(), '1.41'), { withinMs: noticedWithinMs });
    deepEqual(await listed('/v1.41/containers/json?all=1'), all);
    match(lastList(other), /^\/v1\.44\//);
    const { status, body } = await ask('/v1.60/containers/json');
    equal(status, 400);
    match(body.toString(), /client version 1\.60 is too new/);
  });
});
