// Consoles over the fake engine: what is refused before the upgrade, and that no byte is lost, changed or held back on
// this node, on another one, or without a target. The rows with a real shell are in the suite that runs on any agent.

import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import {
  type AgentUnderTest,
  assertAgentHeaders,
  createExec,
  mark,
  ttyContainer,
} from '../support/checks.ts';
import { type ConsoleClient, ConsoleRefused, openConsole } from '../support/console-client.ts';
import { greeting } from '../support/engine/hijack.ts';
import { eventually } from '../support/eventually.ts';
import { within } from '../support/http-wire.ts';
import { createSigner } from '../support/signer.ts';
import { startTestCluster, type TestCluster } from '../support/test-cluster.ts';

const mebibyte = 1_048_576;
/** A connection that the kernel ends is seen at once, long before a ping is missed. */
const brokenWithinMs = 10_000;
/** Nobody ends the connections of an agent that hangs: the others have to find out. */
const silentWithinMs = 15_000;
const handshake = {
  ...mark,
  Connection: 'Upgrade',
  Upgrade: 'websocket',
  'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
};

for (const secret of ['the secret of these consoles', undefined]) {
  describe(`consoles of members ${secret === undefined ? 'without' : 'with'} a cluster secret`, function () {
    this.timeout(30_000);
    let cluster: TestCluster;
    let entry: AgentUnderTest;
    let other: AgentUnderTest;

    before(async () => {
      cluster = await startTestCluster({
        names: ['node1', 'node2'],
        ...(secret !== undefined && { secret }),
      });
      entry = cluster.member('node1');
      other = cluster.member('node2');
      for (const headers of [{}, { 'X-PortainerAgent-Target': 'node2' }])
        equal((await entry.request({ path: '/_ping', headers })).status, 200);
    });

    beforeEach(() => {
      for (const { engine } of cluster.members) engine.forget();
    });

    afterEach(function () {
      if (this.currentTest?.state === 'failed') for (const { agent } of cluster.members) agent.printLog();
    });

    after(() => cluster[Symbol.asyncDispose]());

    for (const [where, target] of [
      ['this node', ''],
      ['this node by its name', 'node1'],
      ['another node', 'node2'],
    ] as const) {
      it(`W4 passes text and binary in and text out, a paste of 1 MiB whole, on ${where}`, async () => {
        const steering = target === '' ? {} : { headers: { 'X-PortainerAgent-Target': target } };
        const id = await createExec(entry, 'cat', steering);
        await using console_ = await open(entry, `/websocket/exec?endpointId=1&id=${id}`, target);
        await console_.until(greeting);
        const paste = Buffer.from('päste€😀\n'.repeat(mebibyte / 12));
        ok(paste.length >= mebibyte);
        await console_.send('text in, ');
        await console_.send(Buffer.from('binary in, '));
        await console_.send(paste);
        const expected = Buffer.concat([Buffer.from(`${greeting}text in, binary in, `), paste]);
        await eventually(() => equal(console_.bytes().length, expected.length), { withinMs: 10_000 });
        ok(console_.bytes().equals(expected));
        equal(console_.frames().binary, 0);
      });
    }

    it('finds the exec or container of another node by its full id, without a target', async () => {
      other.engine.state.containers = [ttyContainer, { ...ttyContainer, id: 'f'.repeat(64), name: 'far' }];
      // Both fake engines count their execs: beyond the entry's, an id is the other's alone.
      let id = '';
      for (let made = 0; made < 30; made += 1)
        id = await createExec(entry, 'cat', { headers: { 'X-PortainerAgent-Target': 'node2' } });
      for (const path of [`/websocket/exec?id=${id}`, `/v2/websocket/attach?id=${'f'.repeat(64)}`]) {
        await using console_ = await open(entry, path);
        await console_.send('who is there');
        await console_.until('who is there');
      }
      equal(other.engine.receivedAt('/start').length + other.engine.receivedAt('/attach').length, 2);
    });

    it('W4 keeps characters whole that the engine sends byte by byte, and drops what is no UTF-8', async () => {
      const id = await createExec(entry, 'cat');
      await using console_ = await open(entry, `/websocket/exec?id=${id}`);
      await console_.until(greeting);
      const text = 'ä€😀漢';
      for (const byte of Buffer.from(`${text}\n`)) {
        const before = entry.engine.receivedAt('/start')[0]?.hijackedBytes ?? 0;
        await console_.send(Buffer.of(byte));
        // One piece for each byte: the engine has it before the next one leaves.
        await eventually(() => equal(entry.engine.receivedAt('/start')[0]?.hijackedBytes, before + 1));
      }
      await console_.until(`${text}\n`);
      await console_.send(Buffer.from([0x61, 0xff, 0xc0, 0x62, 0xed, 0xa0, 0x80, 0x0a]));
      await console_.until('ab\n');
    });

    it('W6 closes with 1000 when the exec ends, behind its last output', async () => {
      for (const target of ['', 'node2']) {
        const id = await createExec(entry, 'hello', { headers: { 'X-PortainerAgent-Target': target } });
        await using console_ = await open(entry, `/websocket/exec?id=${id}`, target);
        equal(await console_.closed(), 1000);
        equal(console_.bytes().toString(), `${greeting}hello\n`);
      }
    });

    it('W6 closes the engine’s connection when the client leaves, with a close or without', async () => {
      for (const [target, under] of [
        ['', entry],
        ['node2', other],
      ] as const) {
        for (const leave of ['close', 'terminate'] as const) {
          const id = await createExec(entry, 'cat', { headers: { 'X-PortainerAgent-Target': target } });
          await using console_ = await open(entry, `/websocket/exec?id=${id}`, target);
          await console_.until(greeting);
          equal(under.engine.receivedAt(`/exec/${id}/start`)[0]?.outcome, 'open');
          console_.socket[leave]();
          await eventually(() => ok(under.engine.receivedAt(`/exec/${id}/start`)[0]?.outcome !== 'open'));
        }
      }
    });

    it('holds back an engine whose client does not read', async () => {
      const id = await createExec(entry, 'flood');
      const before = await entry.agent.residentBytes();
      await using console_ = await open(entry, `/websocket/exec?id=${id}`);
      console_.socket.pause();
      const received = (): number => entry.engine.receivedAt('/start').length;
      equal(received(), 1);
      let level = -1;
      let steady = 0;
      await eventually(
        async () => {
          const bytes = await entry.agent.residentBytes();
          steady = Math.abs(bytes - level) < mebibyte ? steady + 1 : 0;
          if (steady === 0) level = bytes;
          return steady >= 10;
        },
        { withinMs: 15_000, everyMs: 50 },
      );
      ok((await entry.agent.residentBytes()) - before < 32 * mebibyte);
    });

    it('W3 says what is wrong before it upgrades', async () => {
      await refused(open(entry, '/websocket/exec'), 400, 'Invalid query parameter: id');
      for (const id of ['xyz', '../version', 'ab/json', 'a'.repeat(65), '%00', 'ab%3Fx=1'])
        await refused(open(entry, `/websocket/exec?id=${id}`), 400, 'must be hexadecimal identifier');
      await refused(
        open(entry, '/websocket/attach?id=ab', 'nobody'),
        500,
        'unable to contact any other agent',
      );
      // The engine's own words: an improvement, for the agent that is replaced closes without any.
      await refused(open(entry, `/websocket/attach?id=${'9'.repeat(64)}`), 404, 'No such container');
      await refused(open(entry, '/websocket/attach?id=abc', 'node2'), 404, 'No such container');
      for (const { engine } of cluster.members) deepEqual(engine.receivedAt('/exec'), []);
    });

    it('W3 refuses a handshake that is none, naming the version', async () => {
      for (const wrong of [
        { 'Sec-WebSocket-Version': '8' },
        { 'Sec-WebSocket-Key': 'short' },
        { Upgrade: 'tcp' },
      ]) {
        const answer = await entry.request({
          path: '/websocket/exec?id=ab',
          headers: { ...handshake, ...wrong },
        });
        equal(answer.status, 400);
        equal(answer.headers.get('sec-websocket-version'), '13');
        assertAgentHeaders(answer);
      }
    });

    it('A-30 upgrades nobody without a valid signature', async () => {
      const id = await createExec(entry, 'cat');
      for (const path of [
        `/websocket/exec?id=${id}`,
        `/v1.41/websocket/exec?id=${id}`,
        `/v1/websocket/exec?id=${id}`,
      ])
        for (const target of ['', 'node2'])
          for (const signer of [undefined, createSigner()])
            await rejects(
              openConsole({ ...entry.agent.compat, path, target, ...(signer && { signer }) }),
              (error) => error instanceof ConsoleRefused && error.status === 403,
            );
      for (const { engine } of cluster.members) deepEqual(engine.receivedAt('/start'), []);
    });

    it('answers the upgrade with nothing but the handshake, whoever is asked', async () => {
      for (const target of ['', 'node2']) {
        const id = await createExec(entry, 'cat', { headers: { 'X-PortainerAgent-Target': target } });
        await using connection = await entry.connect();
        await connection.request({
          path: `/websocket/exec?id=${id}`,
          headers: {
            ...entry.signer.headers(),
            ...handshake,
            'X-PortainerAgent-Target': target,
            Origin: 'https://elsewhere.example',
            'Sec-WebSocket-Protocol': 'chat',
            'Sec-WebSocket-Extensions': 'permessage-deflate',
          },
        });
        const head = await connection.head();
        equal(head.status, 101);
        deepEqual([...head.headers.keys()].toSorted(), ['connection', 'sec-websocket-accept', 'upgrade']);
        // The greeting came with the engine's 101: one text frame, unmasked.
        const frame = await connection.reader.exactly(2 + greeting.length);
        deepEqual([frame[0], frame[1], frame.subarray(2).toString()], [0x81, greeting.length, greeting]);
      }
    });

    it('closes a console whose engine crashes, here and on another node, and opens the next when it is back', async () => {
      for (const [target, under] of [
        ['', entry],
        ['node2', other],
      ] as const) {
        const steering = { headers: { 'X-PortainerAgent-Target': target } };
        const id = await createExec(entry, 'cat', steering);
        await using console_ = await open(entry, `/websocket/exec?id=${id}`, target);
        await console_.until(greeting);
        await under.engine.down();
        // Either: the kernel ends the sockets of a process that crashed as the engine itself ends that of an exec.
        ok([1000, 1011].includes(await within(console_.closed(), brokenWithinMs)));
        await under.engine.up();
        await eventually(async () => {
          const again = await createExec(entry, 'cat', steering);
          await using next = await open(entry, `/websocket/exec?id=${again}`, target);
          await next.until(greeting);
        });
      }
    });

    const how = secret === undefined ? 'frozen' : 'killed';

    it(`W3 closes the console of a node whose agent was ${how}, and refuses the next`, async () => {
      const id = await createExec(entry, 'cat', { headers: { 'X-PortainerAgent-Target': 'node2' } });
      await using console_ = await open(entry, `/websocket/exec?id=${id}`, 'node2');
      await console_.until(greeting);
      other.agent.signal(how === 'killed' ? 'SIGKILL' : 'SIGSTOP');
      await within(console_.closed(), how === 'killed' ? brokenWithinMs : silentWithinMs);
      // 503 until the node is unknown.
      await rejects(open(entry, '/websocket/exec?id=ab', 'node2'), (error) => {
        ok(error instanceof ConsoleRefused);
        return error.status === 500 || (error.status === 503 && error.body.trim() === 'Service Unavailable');
      });
    });
  });
}

function open({ agent, signer }: AgentUnderTest, path: string, target = ''): Promise<ConsoleClient> {
  return openConsole({ ...agent.compat, path, signer, target, headers: mark });
}

async function refused(attempt: Promise<ConsoleClient>, status: number, words: string): Promise<void> {
  await rejects(attempt, (error) => {
    ok(error instanceof ConsoleRefused, String(error));
    equal(error.status, status, error.body);
    ok(error.body.includes(words), error.body);
    ok(error.headers['portainer-agent'] !== undefined);
    return true;
  });
}
