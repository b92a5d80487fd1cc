// Hijacked connections through the agent: exec and attach with 101 and with 200, half-close in both directions, h2c.
// The bytes that stand beside a head are looked at in particular; a proxy loses those first.

import { deepEqual, equal, match } from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createExec, mark, startExec, ttyContainer, useAgent } from '../support/checks.ts';
import { greeting } from '../support/engine/hijack.ts';
import { eventually } from '../support/eventually.ts';
import { encodeRequest } from '../support/raw-http.ts';

describe('hijacked connections', () => {
  const under = useAgent();

  for (const upgrade of [true, false]) {
    const how = upgrade ? 'with an upgrade' : 'without an upgrade';

    it(`exec ${how} answers ${upgrade ? 101 : 200} and carries both directions at once`, async () => {
      const id = await createExec(under(), 'cat');
      const { connection, startLine } = await startExec(under(), id, { upgrade });
      await using _ = connection;
      equal(startLine, upgrade ? 'HTTP/1.1 101 UPGRADED' : 'HTTP/1.1 200 OK');
      for (const text of ['first', 'second', 'third']) {
        await connection.send(text);
        equal((await connection.reader.exactly(text.length)).toString(), text);
      }
    });

    it(`exec ${how} passes the client's half-close on and delivers what comes after it`, async () => {
      const id = await createExec(under(), 'cat');
      const { connection } = await startExec(under(), id, { upgrade });
      await using _ = connection;
      await connection.send('some input');
      connection.halfClose();
      equal((await connection.rest()).toString(), 'some inputEOF 10\n');
      equal(under().engine.receivedAt(`/exec/${id}/start`)[0]?.halfClosed, true);
    });

    it(`exec ${how} passes the engine's half-close on and still takes input`, async () => {
      const id = await createExec(under(), 'close-first');
      const { connection } = await startExec(under(), id, { upgrade });
      await using _ = connection;
      equal((await connection.rest()).toString(), 'bye\n');
      await connection.send('late input');
      connection.halfClose();
      const received = () => under().engine.receivedAt(`/exec/${id}/start`)[0];
      await eventually(() => equal(received()?.halfClosed, true));
      equal(received()?.hijackedBytes, 10);
    });

    it(`attach ${how} delivers every byte of a large input in order`, async () => {
      const { connection } = await attach(upgrade);
      await using _ = connection;
      const bytes = Buffer.from(Array.from({ length: 4_000_000 }, (_unused, at) => at % 251));
      const sent = connection.send(bytes).then(() => connection.halfClose());
      const back = await connection.rest();
      await sent;
      const expected = Buffer.concat([Buffer.from(greeting), bytes, Buffer.from(`EOF ${bytes.length}\n`)]);
      equal(back.length, expected.length);
      equal(hash(back), hash(expected));
    });

    it(`exec ${how} aborts at the engine when the client is gone`, async () => {
      const id = await createExec(under(), 'flood');
      const { connection } = await startExec(under(), id, { upgrade });
      await connection[Symbol.asyncDispose]();
      const received = () => under().engine.receivedAt(`/exec/${id}/start`)[0];
      await eventually(() => equal(received()?.outcome, 'client-left'));
    });
  }

  it('keeps what the client sends right behind its request', async () => {
    const id = await createExec(under(), 'cat');
    await using connection = await under().connect();
    const head = encodeRequest(
      {
        method: 'POST',
        path: `/exec/${id}/start`,
        headers: { ...under().signer.headers(), Connection: 'Upgrade', Upgrade: 'tcp' },
        body: '{"Detach":false,"Tty":true}',
      },
      'agent',
    );
    await connection.send(Buffer.concat([head, Buffer.from('early input')]));
    connection.halfClose();
    equal((await connection.head()).status, 101);
    equal((await connection.rest()).toString(), `${greeting}early inputEOF 11\n`);
  });

  it("gives the engine's head of a hijack as it came, and nothing of HTTP after it", async () => {
    const { connection, head } = await attach(true);
    await using _ = connection;
    equal(head.startLine, 'HTTP/1.1 101 UPGRADED');
    equal(head.headers.get('content-type'), 'application/vnd.docker.raw-stream');
    equal(head.headers.get('upgrade')?.toLowerCase(), 'tcp');
    equal(head.headers.get('content-length'), undefined);
    equal(head.headers.get('transfer-encoding'), undefined);
  });

  it('passes on a refusal of the engine to hijack as an ordinary answer', async () => {
    for (const headers of [{}, { Connection: 'Upgrade', Upgrade: 'tcp' }]) {
      const answer = await under().request({ method: 'POST', path: '/exec/beef/start', headers, body: '{}' });
      equal(answer.status, 404);
      deepEqual(JSON.parse(answer.body.toString()), { message: 'No such exec instance: beef' });
    }
  });

  for (const path of ['/grpc', '/session']) {
    it(`upgrades ${path} to h2c and carries HTTP/2 both ways`, async () => {
      await using connection = await under().connect();
      await connection.request({
        method: 'POST',
        path,
        headers: {
          ...under().signer.headers(),
          ...mark,
          Connection: 'Upgrade, HTTP2-Settings',
          Upgrade: 'h2c',
          'HTTP2-Settings': 'AAMAAABkAAQAAP__',
          'X-Docker-Expose-Session-Uuid': 'session-1',
          'X-Docker-Expose-Session-Grpc-Method': '/moby.filesync.v1.FileSync/DiffCopy',
        },
      });
      const head = await connection.head();
      equal(head.status, 101);
      equal(head.headers.get('upgrade'), 'h2c');
      const frames = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', 'latin1');
      await connection.send(frames);
      deepEqual(await connection.reader.exactly(frames.length), frames);
      const received = under()
        .forwarded()
        .find(({ target }) => target === path);
      equal(received?.headers.get('upgrade'), 'h2c');
      equal(received?.headers.get('x-docker-expose-session-uuid'), 'session-1');
    });
  }

  async function attach(upgrade: boolean) {
    const connection = await under().connect();
    await connection.request({
      method: 'POST',
      path: `/v1.41/containers/${ttyContainer.name}/attach?stream=1&stdin=1&stdout=1&stderr=1`,
      headers: { ...under().signer.headers(), ...(upgrade && { Connection: 'Upgrade', Upgrade: 'tcp' }) },
    });
    const head = await connection.head();
    match(String(head.status), upgrade ? /101/ : /200/);
    return { connection, head };
  }
});

function hash(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
