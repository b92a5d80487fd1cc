// Clients that take and do not give back (A-49): idle sockets, slow heads, endless heads, floods of bad signatures.

import { equal, ok } from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { useAgent } from '../support/checks.ts';
import { eventually } from '../support/eventually.ts';
import { connectRaw, type RawConnection, requestRaw } from '../support/raw-http.ts';
import { isLong, scaled } from '../support/scale.ts';
import { assertRefused, assertStillWorks, signedHead, warmUp } from './attack.ts';

const idleSockets = scaled(2_000, 10_000);
const slowHeads = scaled(200, 1_000);
const badSignatures = scaled(2_000, 20_000);
/** The headers' timeout of one minute, and as long again until it is looked at. */
const slowHeadEndsWithinMs = 120_000;
const maxGrowthBytes = scaled(64, 256) * 1_048_576;

describe('exhaustion attacks', function () {
  this.timeout(scaled(60_000, 300_000));
  const under = useAgent();

  it(`A-49 ${idleSockets} sockets that say nothing do not keep others out`, async () => {
    const { host, port } = under().agent.compat;
    const before = await under().agent.residentBytes();
    const sockets: Socket[] = [];
    try {
      while (sockets.length < idleSockets) {
        const batch = Array.from({ length: 100 }, () =>
          connect({ host, port })
            .on('error', () => undefined)
            .resume(),
        );
        sockets.push(...batch);
        await Promise.all(
          batch.map((socket) => Promise.race([once(socket, 'connect'), once(socket, 'close')])),
        );
      }
      await assertStillWorks(under());
      const grown = (await under().agent.residentBytes()) - before;
      ok(grown < maxGrowthBytes, `resident memory grew by ${grown} bytes`);
      // Whoever has not finished the TLS handshake is dropped, long before anything else would run out.
      if (isLong)
        await eventually(() => sockets.every((socket) => socket.closed), { withinMs: 150_000, everyMs: 500 });
    } finally {
      for (const socket of sockets) socket.destroy();
    }
    await assertStillWorks(under());
  });

  it(`A-49 ${slowHeads} heads that never end do not keep others out`, async () => {
    const connections: RawConnection[] = [];
    try {
      while (connections.length < slowHeads) {
        connections.push(
          ...(await Promise.all(Array.from({ length: 20 }, () => connectRaw(under().agent.compat)))),
        );
      }
      for (const connection of connections)
        await connection.send('GET /ping HTTP/1.1\r\nHost: agent\r\nX-Slow: a');
      await assertStillWorks(under());
      if (isLong) await Promise.all(connections.map(assertTimedOut));
    } finally {
      await Promise.all(connections.map((connection) => connection[Symbol.asyncDispose]()));
    }
  });

  it('A-49 a head beyond one MiB is refused, and one of 200 KiB is not', async () => {
    await warmUp(under());
    const large = await under().request({
      path: '/version',
      headers: { 'X-Registry-Config': 'c'.repeat(200_000) },
    });
    equal(large.status, 200);
    const bytes = `${signedHead(under(), 'GET /version HTTP/1.1', `X-Large: ${'l'.repeat(1_200_000)}`)}\r\n`;
    await assertRefused(under(), bytes, { statuses: [400, 431] });
  });

  it('A-49 more headers than any client sends are refused or ignored, and never end the agent', async () => {
    const lines = Array.from({ length: 20_000 }, (_, at) => `X-${at}: a`);
    const answer = await requestRaw(under().agent.compat, {
      path: '/ping',
      headers: Object.fromEntries(lines.slice(0, 5_000).map((line) => line.split(': ') as [string, string])),
    });
    ok([204, 400, 431].includes(answer.status), `answered with ${answer.status}`);
    await assertStillWorks(under());
  });

  it(`A-49 ${badSignatures} different bad signatures grow nothing`, async () => {
    await warmUp(under());
    await using connection = await under().connect();
    const { 'X-PortainerAgent-PublicKey': key } = under().signer.headers();
    const before = await under().agent.residentBytes();
    for (let sent = 0; sent < badSignatures; sent += 1) {
      const signature = randomBytes(64).toString('base64').replaceAll('=', '');
      await connection.request({
        path: '/version',
        headers: {
          'X-PortainerAgent-PublicKey': key,
          'X-PortainerAgent-Signature': signature,
          'X-Forwarded-For': `10.0.${sent >> 8}.${sent & 255}`,
        },
      });
      equal((await connection.answer()).status, 403);
    }
    const grown = (await under().agent.residentBytes()) - before;
    ok(grown < 32 * 1_048_576, `resident memory grew by ${grown} bytes`);
    await assertStillWorks(under());
  });

  it('A-49 huge filters are refused or passed on, within their bound', async () => {
    const filters = encodeURIComponent(
      JSON.stringify({ label: Array.from({ length: 5_000 }, (_, at) => `l=${at}`) }),
    );
    const answer = await under().request({ path: `/containers/json?filters=${filters}` });
    ok([200, 400, 414, 431].includes(answer.status), `answered with ${answer.status}`);
    await assertStillWorks(under());
  });
});

/** The answer to a head that takes too long, and then the end of the connection. */
async function assertTimedOut({ reader }: RawConnection): Promise<void> {
  const answer = await reader.some(slowHeadEndsWithinMs);
  equal(answer?.toString('latin1').startsWith('HTTP/1.1 408 '), true);
}
