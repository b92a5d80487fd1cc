// The Docker sockets of real agents: where each leads, that they come and go with the members, and what is left when an
// agent was killed. What the cluster socket makes of many answers is held by tests of its own.

import { deepEqual, equal, match } from 'node:assert/strict';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type AgentUnderTest, mark, startAgentUnderTest, ttyContainer } from '../support/checks.ts';
import { greeting } from '../support/engine/hijack.ts';
import { eventually } from '../support/eventually.ts';
import { connectRaw, type RawAddress, requestRaw } from '../support/raw-http.ts';
import { startTestCluster, type TestCluster } from '../support/test-cluster.ts';

function clusterSocket({ agent }: AgentUnderTest): RawAddress & { readonly kind: 'unix' } {
  return { kind: 'unix', path: join(agent.socketDir, 'docker.sock') };
}

function nodeSocket({ agent }: AgentUnderTest, node: string): RawAddress & { readonly kind: 'unix' } {
  return { kind: 'unix', path: join(agent.socketDir, 'nodes', `${node}.sock`) };
}

async function nodesOf({ agent }: AgentUnderTest): Promise<readonly string[]> {
  return (await readdir(join(agent.socketDir, 'nodes'))).toSorted();
}

async function nameAt(address: RawAddress): Promise<unknown> {
  const { body } = await requestRaw(address, { path: '/info' });
  return (JSON.parse(body.toString()) as { readonly Name?: unknown }).Name;
}

for (const secret of ['the secret of these members', undefined]) {
  describe(`Docker sockets ${secret === undefined ? 'without' : 'with'} a cluster secret`, function () {
    this.timeout(30_000);
    let cluster: TestCluster;
    let entry: AgentUnderTest;
    let other: AgentUnderTest;

    before(async () => {
      const names = ['node1', 'node2'];
      cluster = await startTestCluster(secret === undefined ? { names } : { names, secret });
      entry = cluster.member('node1');
      other = cluster.member('node2');
    });

    afterEach(function () {
      if (this.currentTest?.state === 'failed') for (const { agent } of cluster.members) agent.printLog();
    });

    after(() => cluster[Symbol.asyncDispose]());

    it('ask for no signature, and lead where their names say', async () => {
      const files = secret === undefined ? ['node1.sock'] : ['node1.sock', 'node2.sock'];
      await eventually(async () => deepEqual(await nodesOf(entry), files));
      equal(await nameAt(nodeSocket(entry, 'node1')), 'node1');
      if (secret !== undefined) equal(await nameAt(nodeSocket(entry, 'node2')), 'node2');
      equal((await requestRaw(clusterSocket(entry), { path: '/_ping' })).body.toString(), 'OK');
    });

    it('belong to the group of the engine socket and are closed to others', async () => {
      const { gid } = await lstat(entry.engine.socketPath);
      for (const { path } of [clusterSocket(entry), nodeSocket(entry, 'node1')]) {
        const found = await lstat(path);
        deepEqual([found.mode & 0o777, found.gid], [0o660, gid]);
      }
    });

    if (secret === undefined) return;

    it('pass a request to the engine of the node, version and query included, without anything of ours', async () => {
      const headers = { ...mark, 'X-PortainerAgent-Target': 'node1', 'Flotilla-Decorate': '1' };
      await requestRaw(nodeSocket(entry, 'node2'), { path: '/v1.41/containers/json?all=1&size=1', headers });
      const [seen, ...more] = other.forwarded();
      equal(more.length, 0);
      equal(seen?.target, '/v1.41/containers/json?all=1&size=1');
      deepEqual(
        [...(seen?.headers.keys() ?? [])].filter((name) => /flotilla|portainer/.test(name)),
        [],
      );
      equal(entry.forwarded().length, 0);
    });

    it('carry a hijack to another node, and its half-close', async () => {
      const address = nodeSocket(entry, 'node2');
      const json = { 'Content-Type': 'application/json' };
      const made = await requestRaw(address, {
        method: 'POST',
        path: `/containers/${ttyContainer.name}/exec`,
        headers: json,
        body: JSON.stringify({ Cmd: ['cat'], Tty: true, AttachStdin: true, AttachStdout: true }),
      });
      const { Id } = JSON.parse(made.body.toString()) as { readonly Id: string };
      await using connection = await connectRaw(address);
      const upgrade = { Connection: 'Upgrade', Upgrade: 'tcp' };
      await connection.request({
        method: 'POST',
        path: `/exec/${Id}/start`,
        headers: { ...json, ...upgrade },
        body: JSON.stringify({ Detach: false, Tty: true }),
      });
      equal((await connection.head()).status, 101);
      equal((await connection.reader.exactly(greeting.length)).toString(), greeting);
      await connection.send('typed');
      connection.halfClose();
      equal((await connection.rest()).toString(), 'typedEOF 5\n');
    });

    it('say in the words of an engine that the engine behind them is down', async () => {
      await other.engine.down();
      try {
        for (const [from, words] of [
          [other, /^503 \{"message":"flotilla: reach the engine: [^"]+"\}\n$/],
          // The other agent's words for whoever asks it, Portainer's.
          [entry, /^500 \{"message":"Unable to proxy the request via the Docker socket"/],
        ] as const) {
          const answer = await requestRaw(nodeSocket(from, 'node2'), { path: '/containers/json' });
          match(`${answer.status} ${answer.body}`, words);
        }
      } finally {
        await other.engine.up();
      }
    });

    it('go with a member that leaves', async () => {
      await other.agent.stop();
      await eventually(async () => deepEqual(await nodesOf(entry), ['node1.sock']));
      deepEqual(await nodesOf(other), []);
      equal(await lstat(clusterSocket(other).path).catch(() => 'gone'), 'gone');
    });
  });
}

describe('Docker sockets of an agent that was killed', () => {
  it('are taken over by the next one', async () => {
    await using first = await startAgentUnderTest({ engine: { name: 'before' } });
    await eventually(async () => deepEqual(await nodesOf(first), ['before.sock']));
    first.agent.signal('SIGKILL');
    await eventually(() => !first.agent.running());
    deepEqual(await nodesOf(first), ['before.sock']);
    const env = { FLOTILLA_SOCKET_DIR: first.agent.socketDir };
    await using next = await startAgentUnderTest({ engine: { name: 'after' }, env });
    await eventually(async () => deepEqual(await nodesOf(first), ['after.sock']));
    await eventually(async () => equal(await nameAt(clusterSocket(first)), 'after'));
    equal(await next.agent.stop(), 0);
    deepEqual(await nodesOf(first), []);
  }).timeout(30_000);
});
