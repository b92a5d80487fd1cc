// Size and number: bodies of any size with flat memory, slow readers, a thousand idle streams.
// Shortened unless FLOTILLA_TEST_LONG=1; the shortened forms still reach every limit that they are about.

import { equal, ok } from 'node:assert/strict';
import {
  type AgentUnderTest,
  createExec,
  mark,
  startExec,
  ttyContainer,
  useAgent,
} from '../support/checks.ts';
import { eventually } from '../support/eventually.ts';
import type { RawConnection } from '../support/raw-http.ts';
import { scaled } from '../support/scale.ts';

const mebibyte = 1_048_576;
const maxGrowthBytes = 32 * mebibyte;
const bodyBytes = scaled(256, 1_024) * mebibyte;
const streamCount = 1_000;
const piece = Buffer.alloc(mebibyte / 4, 'p');

describe('load', function () {
  this.timeout(scaled(60_000, 300_000));
  const under = useAgent();

  it(`C11 passes an upload of ${bodyBytes / mebibyte} MiB with flat memory`, async () => {
    const grown = await growthDuring(under(), async () => {
      await using connection = await under().connect();
      await connection.request({
        method: 'POST',
        path: '/images/load',
        headers: { ...under().signer.headers(), ...mark, 'Content-Length': String(bodyBytes) },
      });
      for (let sent = 0; sent < bodyBytes; sent += piece.length) await connection.send(piece);
      equal((await connection.answer()).status, 200);
    });
    equal(under().forwarded().at(-1)?.bodyBytes, bodyBytes);
    ok(grown < maxGrowthBytes, `resident memory grew by ${grown} bytes`);
  });

  it(`C11 passes a download of ${bodyBytes / mebibyte} MiB with flat memory`, async () => {
    under().engine.state.downloadBytes = bodyBytes;
    const grown = await growthDuring(under(), async () => {
      await using connection = await under().connect();
      await connection.request({ path: '/images/big/get', headers: under().signer.headers() });
      let got = 0;
      for await (const bytes of connection.body(await connection.head())) got += bytes.length;
      equal(got, bodyBytes);
    });
    ok(grown < maxGrowthBytes, `resident memory grew by ${grown} bytes`);
  });

  it('holds back an engine whose client does not read', async () => {
    under().engine.state.downloadBytes = 1_024 * mebibyte;
    await assertHeldBack(async (connection) => {
      await connection.request({ path: '/images/big/get', headers: under().signer.headers() });
      await connection.head();
    });
  });

  it('holds back a hijacked stream whose client does not read', async () => {
    const id = await createExec(under(), 'flood');
    const grown = await growthDuring(under(), async () => {
      const { connection } = await startExec(under(), id, { upgrade: true });
      await using _ = connection;
      await settled(() => under().agent.residentBytes());
    });
    ok(grown < maxGrowthBytes, `resident memory grew by ${grown} bytes`);
  });

  it(`holds ${streamCount} idle log streams and delivers to each of them`, async () => {
    const connections: RawConnection[] = [];
    // One signature for all, as the docker CLI sends it: making a thousand is not what is looked at.
    const headers = under().signer.headers();
    try {
      for (let opened = 0; opened < streamCount; opened += 50) {
        connections.push(
          ...(await Promise.all(Array.from({ length: 50 }, () => openLogs(under(), headers)))),
        );
      }
      await eventually(() => equal(under().engine.feeds.openStreams(), streamCount));
      equal((await under().request({ path: '/_ping' })).status, 200);
      under().engine.feeds.log(ttyContainer.id, 'to all\n');
      for (const connection of connections) {
        equal((await connection.reader.until(Buffer.from('to all\n')))?.toString().startsWith('7'), true);
      }
    } finally {
      await Promise.all(connections.map((connection) => connection[Symbol.asyncDispose]()));
    }
    await eventually(() => equal(under().engine.feeds.openStreams(), 0), { withinMs: 10_000 });
  });

  async function assertHeldBack(start: (connection: RawConnection) => Promise<void>): Promise<void> {
    const grown = await growthDuring(under(), async () => {
      await using connection = await under().connect();
      await start(connection);
      await settled(() => under().agent.residentBytes());
    });
    ok(grown < maxGrowthBytes, `resident memory grew by ${grown} bytes`);
  }
});

/** How much the agent's resident memory rose above its level before, at its highest. */
async function growthDuring(under: AgentUnderTest, work: () => Promise<void>): Promise<number> {
  const before = await under.agent.residentBytes();
  let highest = before;
  const sampler = setInterval(() => {
    under.agent.residentBytes().then(
      (bytes) => {
        highest = Math.max(highest, bytes);
      },
      // The agent ended, which the work itself reports.
      () => undefined,
    );
  }, 100);
  try {
    await work();
  } finally {
    clearInterval(sampler);
  }
  return Math.max(highest, await under.agent.residentBytes()) - before;
}

/** Waits until the value has stopped rising: ten samples in a row within one MiB. */
async function settled(read: () => Promise<number>): Promise<void> {
  let level = 0;
  let steady = 0;
  await eventually(
    async () => {
      const bytes = await read();
      steady = Math.abs(bytes - level) < mebibyte ? steady + 1 : 0;
      if (steady === 0) level = bytes;
      return steady >= 10;
    },
    { withinMs: 15_000, everyMs: 50 },
  );
}

async function openLogs(
  under: AgentUnderTest,
  headers: Readonly<Record<string, string>>,
): Promise<RawConnection> {
  const connection = await under.connect();
  await connection.request({ path: `/containers/${ttyContainer.id}/logs?follow=1&stdout=1`, headers });
  equal((await connection.head()).status, 200);
  return connection;
}
