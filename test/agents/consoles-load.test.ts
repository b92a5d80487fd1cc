// Many consoles at once, on both nodes of a cluster, with traffic both ways all the time: no byte is lost or out
// of order, and what they took is given back. Shortened unless FLOTILLA_TEST_LONG=1.

import { equal, ok } from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { type AgentUnderTest, createExec, ttyContainer } from '../support/checks.ts';
import { type ConsoleClient, openConsole } from '../support/console-client.ts';
import { greeting } from '../support/engine/hijack.ts';
import { eventually } from '../support/eventually.ts';
import { scaled } from '../support/scale.ts';
import { startTestCluster, type TestCluster } from '../support/test-cluster.ts';

const mebibyte = 1_048_576;
const consoleCount = scaled(40, 200);
/** Of each round. */
const trafficMs = scaled(1_000, 30_000);
/** What a console leaves behind adds up over them, what the process only makes once does not. */
const moreRounds = 2;
/** Opened together: each costs two TLS handshakes. */
const openAtOnce = 20;
/** Over all these rounds: about 200 KiB for each console that was opened, where tests are short. */
const maxGrowthBytes = scaled(16, 32) * mebibyte;
/** Sent and not come back yet, for each console. */
const maxInFlightBytes = 64 * 1_024;

describe('many consoles', function () {
  this.timeout(120_000 + (1 + moreRounds) * trafficMs);
  let cluster: TestCluster;
  let entry: AgentUnderTest;

  before(async () => {
    cluster = await startTestCluster({ names: ['node1', 'node2'], secret: 'the secret of many' });
    entry = cluster.member('node1');
    for (const { engine } of cluster.members) engine.state.containers = [ttyContainer];
    equal((await entry.request({ path: '/_ping' })).status, 200);
  });

  afterEach(function () {
    if (this.currentTest?.state === 'failed') for (const { agent } of cluster.members) agent.printLog();
  });

  after(() => cluster[Symbol.asyncDispose]());

  it(`${consoleCount} at a time carry traffic for ${((1 + moreRounds) * trafficMs) / 1_000} s without a byte lost or reordered, and leave nothing`, async () => {
    // The first round makes what a process only makes once: pools, code, pages of the heap.
    let bytes = await round(trafficMs);
    const before = await footprints();
    for (let more = 0; more < moreRounds; more += 1) bytes += await round(trafficMs);
    ok(bytes > (1 + moreRounds) * consoleCount * 5_000, `only ${bytes} bytes were carried`);
    await eventually(
      async () => {
        for (const [at, now] of (await footprints()).entries()) {
          const was = before[at];
          const grown = now.residentBytes - (was?.residentBytes ?? 0);
          ok(grown < maxGrowthBytes, `memory grew by ${grown} bytes to ${now.residentBytes}`);
          ok(now.files <= (was?.files ?? 0) + 8, `${now.files} open files, ${was?.files} before`);
        }
      },
      { withinMs: 20_000, everyMs: 250 },
    );
    const grown = (await footprints()).map(
      ({ residentBytes }, at) => residentBytes - (before[at]?.residentBytes ?? 0),
    );
    const shown = [bytes, ...grown].map((count) => (count / mebibyte).toFixed(1));
    process.stdout.write(
      `      ${shown[0]} MiB each way, memory grew by ${shown.slice(1).join(' and ')} MiB\n`,
    );
  });

  async function round(durationMs: number): Promise<number> {
    await using stack = new AsyncDisposableStack();
    const consoles: ConsoleClient[] = [];
    for (let opened = 0; opened < consoleCount; opened += openAtOnce) {
      const some = Array.from({ length: openAtOnce }, (_, at) => openOne(at % 2 === 0 ? 'node1' : 'node2'));
      for (const one of await Promise.all(some)) consoles.push(stack.use(one));
    }
    const endMs = performance.now() + durationMs;
    const counts = await Promise.all(consoles.map((one, at) => talk(one, at, endMs)));
    for (const one of consoles) one.socket.close();
    await Promise.all(consoles.map((one) => one.closed()));
    await eventually(() => {
      for (const { engine } of cluster.members)
        equal(engine.receivedAt('/start').filter(({ outcome }) => outcome === 'open').length, 0);
    });
    return counts.reduce((sum, count) => sum + count, 0);
  }

  async function openOne(node: string): Promise<ConsoleClient> {
    const id = await createExec(entry, 'cat', { headers: { 'X-PortainerAgent-Target': node } });
    return openConsole({
      ...entry.agent.compat,
      path: `/websocket/exec?id=${id}`,
      signer: entry.signer,
      target: node,
    });
  }

  function footprints(): Promise<readonly { readonly residentBytes: number; readonly files: number }[]> {
    return Promise.all(
      cluster.members.map(async ({ agent }) => ({
        residentBytes: await agent.residentBytes(),
        files: (await readdir(`/proc/${agent.pid}/fd`)).length,
      })),
    );
  }
});

/** Sends numbered lines of changing length, in characters of every size, and holds each echo to what was sent. */
async function talk(client: ConsoleClient, seed: number, endMs: number): Promise<number> {
  let sent = 0;
  let checked = 0;
  let expected: Buffer = Buffer.from(greeting);
  const failed = Promise.withResolvers<never>();
  // Whoever waits next is told.
  failed.promise.catch(() => undefined);
  const moved = { resolve: (): void => undefined };
  client.takeOver((data) => {
    if (!expected.subarray(0, data.length).equals(data))
      failed.reject(
        new Error(`console ${seed}: after ${checked} bytes came ${data.toString().slice(0, 80)}`),
      );
    expected = expected.subarray(data.length);
    checked += data.length;
    moved.resolve();
  });
  const wait = (): Promise<void> =>
    Promise.race([
      failed.promise,
      new Promise<void>((resolve) => {
        moved.resolve = resolve;
      }),
    ]);
  for (let line = 0; performance.now() < endMs; line += 1) {
    const text = Buffer.from(`${seed}:${line} ${'xä€😀'.repeat((line * 37 + seed) % 300)}\n`);
    expected = Buffer.concat([expected, text]);
    sent += text.length;
    await client.send(text);
    while (expected.length > maxInFlightBytes) await wait();
  }
  while (expected.length > 0) await wait();
  return sent;
}
