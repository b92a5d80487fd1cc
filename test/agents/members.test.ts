// Requests that run on another member: steered there by target, by manager operation or by a full id, through the peer
// listener. Everything that holds on one agent holds through two.

import { deepEqual, equal, fail, match, ok } from 'node:assert/strict';
import {
  type AgentUnderTest,
  assertAgentHeaders,
  createExec,
  mark,
  startExec,
  ttyContainer,
} from '../support/checks.ts';
import { eventually } from '../support/eventually.ts';
import { requestRaw } from '../support/raw-http.ts';
import { scaled } from '../support/scale.ts';
import { createSigner } from '../support/signer.ts';
import { startTestCluster, type TestCluster } from '../support/test-cluster.ts';

const mebibyte = 1_048_576;
const bodyBytes = scaled(128, 1_024) * mebibyte;
const maxGrowthBytes = 32 * mebibyte;
/** One member is made to miss it. */
const env = { FLOTILLA_NODE_TIMEOUT: '5s' };
const farContainer = { ...ttyContainer, id: 'f'.repeat(64), name: 'far' };
const browser = { Cookie: 'session=c0okie', Authorization: 'Bearer t0ken' };

for (const secret of ['the secret of these members', undefined]) {
  describe(`members ${secret === undefined ? 'without' : 'with'} a cluster secret`, function () {
    this.timeout(scaled(30_000, 180_000));
    let cluster: TestCluster;
    let entry: AgentUnderTest;
    let other: AgentUnderTest;
    const toOther = { 'X-PortainerAgent-Target': 'node2' };

    before(async () => {
      cluster = await startTestCluster({
        names: ['node1', 'node2'],
        env,
        ...(secret !== undefined && { secret }),
      });
      entry = cluster.member('node1');
      other = cluster.member('node2');
      other.engine.state.containers = [ttyContainer, farContainer];
      // Every agent learns the key before the tests look at what is passed on.
      equal((await entry.request({ path: '/_ping' })).status, 200);
      equal((await entry.request({ path: '/_ping', headers: toOther })).status, 200);
    });

    beforeEach(() => {
      for (const { engine } of cluster.members) engine.forget();
    });

    afterEach(function () {
      if (this.currentTest?.state === 'failed') for (const { agent } of cluster.members) agent.printLog();
    });

    after(() => cluster[Symbol.asyncDispose]());

    it('S4 runs a targeted request on that node, once, without steering, signature or browser headers', async () => {
      const answer = await entry.request({
        path: '/v1.41/containers/far/json?size=1',
        headers: { ...mark, ...toOther, ...browser, 'X-PortainerAgent-Extra': 'kept?' },
      });
      equal(answer.status, 200);
      equal(JSON.parse(answer.body.toString()).Id, farContainer.id);
      assertAgentHeaders(answer);
      deepEqual(entry.forwarded(), []);
      const [received, ...more] = other.forwarded();
      deepEqual(more, []);
      equal(received?.target, '/containers/far/json?size=1');
      for (const name of [
        'cookie',
        'authorization',
        'x-portaineragent-signature',
        'x-portaineragent-publickey',
      ]) {
        equal(received?.headers.has(name), false, name);
      }
    });

    it('lets no client speak to a member in the place of an agent', async () => {
      const association = { epoch: 9, key: { publicKeyHex: 'ab', associatedAtMs: 1, by: 'client' } };
      for (const steering of [toOther, { 'X-PortainerAgent-ManagerOperation': '1' }, {}]) {
        for (const path of ['/_flotilla/association', '/v1.41/_flotilla/association']) {
          const body = JSON.stringify(association);
          equal((await entry.request({ method: 'POST', path, headers: steering, body })).status, 400);
        }
        equal((await entry.request({ path: '/_flotilla/health', headers: steering })).status, 400);
      }
      equal((await entry.request({ path: '/_ping', headers: toOther })).status, 200);
    });

    it("relays another node's host information, with the agent's headers once", async () => {
      for (const path of ['/host/info', '/v2/host/info?x=1', '/v1.41/v1/host/info']) {
        const answer = await entry.request({ path, headers: { ...toOther, ...browser } });
        equal(answer.status, 200, answer.body.toString());
        assertAgentHeaders(answer);
        deepEqual(Object.keys(JSON.parse(answer.body.toString())), ['PCIDevices', 'PhysicalDisks']);
      }
    });

    it('S9 asks each engine once for a merged list', async () => {
      const answer = await entry.request({ path: '/containers/json?all=1' });
      const names = JSON.parse(answer.body.toString()).map(
        (item: { Portainer: { Agent: { NodeName: string } } }) => {
          return item.Portainer.Agent.NodeName;
        },
      );
      deepEqual(names.toSorted(), ['node1', 'node2', 'node2']);
      for (const { engine } of cluster.members) equal(engine.receivedAt('/containers/json').length, 1);
      match(answer.headers.get('flotilla-nodes') ?? '', /2/);
    });

    it('S1 sends a manager operation from the worker to the manager', async () => {
      for (const request of [
        { path: '/services', headers: mark },
        { path: '/info', headers: mark },
        { path: '/version', headers: { ...mark, 'X-PortainerAgent-ManagerOperation': '1' } },
      ]) {
        equal((await other.request(request)).status, 200);
      }
      deepEqual(other.forwarded(), []);
      equal(entry.forwarded().length, 3);
    });

    it('S10 routes a full id to its owner and leaves a name to the engine that was asked', async () => {
      equal((await entry.request({ path: `/containers/${farContainer.id}/json` })).status, 200);
      const byName = await entry.request({ path: '/containers/far/json' });
      equal(byName.status, 404);
      match(byName.body.toString(), /No such container: far/);
    });

    for (const upgrade of [true, false]) {
      it(`carries a hijack ${upgrade ? 'with' : 'without'} an upgrade through both agents, half-close in both directions`, async () => {
        const id = await createExec(entry, 'cat', { headers: toOther });
        {
          const { connection } = await startExec(entry, id, { upgrade, headers: toOther });
          await using _ = connection;
          await connection.send('some input');
          connection.halfClose();
          equal((await connection.rest()).toString(), 'some inputEOF 10\n');
          equal(other.engine.receivedAt(`/exec/${id}/start`)[0]?.halfClosed, true);
        }
        const closing = await createExec(entry, 'close-first', { headers: toOther });
        const { connection } = await startExec(entry, closing, { upgrade, headers: toOther });
        await using _ = connection;
        equal((await connection.rest()).toString(), 'bye\n');
        await connection.send('late input');
        connection.halfClose();
        const received = () => other.engine.receivedAt(`/exec/${closing}/start`)[0];
        await eventually(() => equal(received()?.halfClosed, true));
        equal(received()?.hijackedBytes, 10);
      });
    }

    it('carries h2c through both agents', async () => {
      await using connection = await entry.connect();
      await connection.request({
        method: 'POST',
        path: '/session',
        headers: { ...entry.signer.headers(), ...toOther, Connection: 'Upgrade', Upgrade: 'h2c' },
      });
      equal((await connection.head()).status, 101);
      await connection.send('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
      equal((await connection.reader.exactly(24)).toString(), 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    });

    it('finds an exec of another member by its id, without a target', async () => {
      const id = await createExec(entry, 'hello', { headers: toOther });
      const { connection } = await startExec(entry, id, { upgrade: true });
      await using _ = connection;
      equal((await connection.rest()).toString(), 'hello\n');
    });

    it('sends the head of wait at once, and delivers each followed line at once', async () => {
      await using waiting = await entry.connect();
      await waiting.request({
        method: 'POST',
        path: `/containers/${farContainer.id}/wait`,
        headers: { ...entry.signer.headers(), ...toOther, 'Content-Length': '0' },
      });
      const waitHead = await waiting.head();
      equal(waitHead.status, 200);
      other.engine.feeds.exit(farContainer.id, 5);
      equal((await waiting.body(waitHead).next()).value?.toString(), '{"StatusCode":5}\n');

      await using following = await entry.connect();
      await following.request({
        path: '/containers/far/logs?follow=1&stdout=1',
        headers: { ...entry.signer.headers(), ...toOther },
      });
      const lines = following.body(await following.head());
      await eventually(() => equal(other.engine.feeds.openStreams(), 1));
      for (const text of ['one\n', 'two\n']) {
        other.engine.feeds.log(farContainer.id, text);
        equal((await lines.next()).value?.toString(), text);
      }
      await following[Symbol.asyncDispose]();
      await eventually(() => equal(other.engine.feeds.openStreams(), 0));
    });

    it('passes an answer to Expect: 100-continue and the body behind it', async () => {
      await using connection = await entry.connect();
      await connection.request({
        method: 'POST',
        path: '/images/load',
        headers: {
          ...entry.signer.headers(),
          ...mark,
          ...toOther,
          Expect: '100-continue',
          'Content-Length': '5',
        },
      });
      equal((await connection.head()).status, 100);
      await connection.send('hello');
      equal((await connection.answer()).status, 200);
      equal(other.forwarded()[0]?.body.toString(), 'hello');
    });

    it(`passes ${bodyBytes / mebibyte} MiB up and down through two hops with flat memory`, async () => {
      const before = await Promise.all(cluster.members.map(({ agent }) => agent.residentBytes()));
      await using up = await entry.connect();
      await up.request({
        method: 'POST',
        path: '/images/load',
        headers: { ...entry.signer.headers(), ...toOther, 'Content-Length': String(bodyBytes) },
      });
      const piece = Buffer.alloc(mebibyte / 4, 'p');
      for (let sent = 0; sent < bodyBytes; sent += piece.length) await up.send(piece);
      equal((await up.answer()).status, 200);
      equal(other.engine.receivedAt('/images/load')[0]?.bodyBytes, bodyBytes);

      other.engine.state.downloadBytes = bodyBytes;
      await using down = await entry.connect();
      await down.request({ path: '/images/big/get', headers: { ...entry.signer.headers(), ...toOther } });
      let got = 0;
      for await (const bytes of down.body(await down.head())) got += bytes.length;
      equal(got, bodyBytes);

      for (const [at, { agent }] of cluster.members.entries()) {
        const grown = (await agent.residentBytes()) - (before[at] ?? 0);
        ok(grown < maxGrowthBytes, `resident memory of agent ${at + 1} grew by ${grown} bytes`);
      }
    });

    it('refuses a stranger at the door of every member, and at none of them for less', async () => {
      const stranger = createSigner().headers();
      for (const { agent } of cluster.members) {
        for (const headers of [stranger, { ...stranger, ...toOther }, toOther]) {
          const answer = await requestRaw(agent.compat, {
            path: '/version',
            headers: { ...mark, ...headers },
          });
          equal(answer.status, 403);
        }
      }
      for (const member of cluster.members) deepEqual(member.forwarded(), []);
    });

    it('makes no noise at a member that was too slow for a list', async () => {
      const linesBefore = other.agent.logLines().length;
      other.engine.failWith(({ target }) =>
        target.startsWith('/containers/json') ? { kind: 'hang' } : undefined,
      );
      const answer = await entry.request({ path: '/containers/json' });
      match(answer.headers.get('flotilla-missing') ?? '', /^node2;reason=timeout;/);
      const left = await eventually(() => {
        // Both have the same deadline: either may be the first to give up.
        const said = ['member left', 'engine too slow for a member'];
        const line = other.agent
          .logLines()
          .find(({ msg }, at) => at >= linesBefore && said.includes(String(msg)));
        return line ?? fail('nothing is logged');
      });
      equal(left.level, 'debug');
    });

    it('answers 502 with an empty body for a target whose agent was killed', async () => {
      other.agent.signal('SIGKILL');
      await eventually(() => equal(other.agent.running(), false));
      const answer = await entry.request({ path: '/version', headers: { ...mark, ...toOther } });
      // Until the member is declared dead it is known and cannot be reached; then its name is unknown.
      if (answer.status === 500) match(answer.body.toString(), /Unable to find the targeted agent/);
      else deepEqual([answer.status, answer.body.toString()], [502, '']);
      deepEqual(entry.forwarded(), []);
      equal((await entry.request({ path: '/version' })).status, 200);
    });
  });
}

describe('members that are stopped', function () {
  this.timeout(30_000);

  for (const stopped of ['node1', 'node2']) {
    it(`let a stream through both go on while ${stopped} drains`, async () => {
      await using cluster = await startTestCluster({ names: ['node1', 'node2'], secret: 'a secret' });
      const entry = cluster.member('node1');
      const far = cluster.member('node2');
      await using following = await entry.connect();
      await following.request({
        path: '/containers/web/logs?follow=1&stdout=1',
        headers: { ...entry.signer.headers(), 'X-PortainerAgent-Target': 'node2' },
      });
      const lines = following.body(await following.head());
      await eventually(() => equal(far.engine.feeds.openStreams(), 1));
      const leaving = cluster.member(stopped).agent;
      const ended = leaving.stop();
      const stays = stopped === 'node1' ? far : entry;
      await eventually(async () => {
        const agents = await stays.request({ path: '/agents' });
        equal(JSON.parse(agents.body.toString()).length, 1);
      });
      far.engine.feeds.log(ttyContainer.id, 'late\n');
      equal((await lines.next()).value?.toString(), 'late\n');
      await following[Symbol.asyncDispose]();
      equal(await ended, 0);
    });
  }
});
