// Uploaded forms on a real socket: their parts as bytes, their bounds, and clients that stop or leave.

import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { eventually } from '../../../test/support/eventually.ts';
import { AgentError } from '../../errors.ts';
import { type ReceivedForm, receiveForm, restDropped } from './browse-form.ts';

const crlf = '\r\n';

function part(headers: string, content: string): string {
  return `--b${crlf}${headers}${crlf}${crlf}${content}${crlf}`;
}

const file = (name: string, content = 'content'): string =>
  part(`Content-Disposition: form-data; name="file"; filename="${name}"`, content);
const path = (value: string): string => part('Content-Disposition: form-data; name="Path"', value);
const end = `--b--${crlf}`;

interface Arrived {
  readonly form: ReceivedForm | AgentError;
  readonly saved: string;
}

describe('uploaded forms', () => {
  let server: Server;
  let sockets: Socket[];
  let arrived: Promise<Arrived>;
  let settle: (what: Arrived) => void;
  let silenceMs: number | undefined;
  let failAfter: number;
  /** Resolves when the saver may begin. */
  let mayBegin: Promise<void>;

  beforeEach(async () => {
    expectNext();
    sockets = [];
    silenceMs = undefined;
    failAfter = Number.POSITIVE_INFINITY;
    mayBegin = Promise.resolve();
    server = createServer((req, res) => {
      void receive(req).then(async (what) => {
        await restDropped(req, silenceMs);
        res.end('done');
        settle(what);
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
  });

  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });

  function expectNext(): void {
    ({ promise: arrived, resolve: settle } = Promise.withResolvers<Arrived>());
  }

  async function receive(req: IncomingMessage): Promise<Arrived> {
    let saved = '';
    const form = await receiveForm(
      req,
      async (content) => {
        await mayBegin;
        for await (const piece of content) {
          saved += piece.toString('latin1');
          if (saved.length > failAfter) throw new AgentError('unavailable', 'disk full');
        }
      },
      silenceMs,
    ).catch((error: unknown) => {
      if (error instanceof AgentError) return error;
      throw error;
    });
    return { form, saved };
  }

  /** `length` is what is announced, where it is not what is sent. */
  function send(body: string, length: number = body.length, connection = 'keep-alive'): Socket {
    const { port } = server.address() as AddressInfo;
    const socket = connect({ port, host: '127.0.0.1' });
    sockets.push(socket);
    socket.on('error', () => undefined);
    const head = [
      'POST / HTTP/1.1',
      'Host: a',
      'Content-Type: multipart/form-data; boundary=b',
      `Content-Length: ${length}`,
      `Connection: ${connection}`,
    ];
    socket.write([...head, '', body].join(crlf), 'latin1');
    return socket;
  }

  const whole = (
    form: Arrived['form'],
  ): { readonly path: string | undefined; readonly file: string | undefined } => {
    ok(!(form instanceof AgentError) && form.kind === 'whole', JSON.stringify(form));
    return { path: form.path?.toString('latin1'), file: form.fileName?.toString('latin1') };
  };

  it('gives names and folders as the bytes that came, in either order', async () => {
    send(`${path('/gr\xfcn')}${file('\xff../x')}${end}`);
    const { form, saved } = await arrived;
    deepEqual([whole(form), saved], [{ path: '/gr\xfcn', file: '\xff../x' }, 'content']);
  });

  it('decodes a name whose charset is given, and takes every other one as the bytes that came', async () => {
    const utf8 = Buffer.from('grün').toString('latin1');
    const euro = Buffer.from('€').toString('latin1');
    const named = (names: string): string =>
      part(`Content-Disposition: form-data; name="file"; ${names}`, 'content');
    for (const [names, name] of [
      ["filename*=utf-8''gr%C3%BCn", utf8],
      ["filename*=UTF-8'de'%E2%82%AC", euro],
      ["filename*=iso-8859-1''gr%FCn", utf8],
      ["filename*=utf-8''plain", 'plain'],
      [`filename="=?utf-8?B?Z3LDvG4=?="; filename*=utf-8''gr%C3%BCn`, utf8],
      [`filename="${utf8}"`, utf8],
      ['filename="gr\xfcn"', 'gr\xfcn'],
      [`filename="; filename*=utf-8''gr\xfcn"`, "; filename*=utf-8''gr\xfcn"],
    ] as const) {
      expectNext();
      send(`${named(names)}${path('/a')}${end}`);
      equal(whole((await arrived).form).file, name, names);
    }
  });

  it('takes a folder as the bytes that came, whatever charset it is said to have', async () => {
    const folder = Buffer.from('/grün€').toString('latin1');
    for (const charset of ['utf-8', 'UTF-8', 'iso-8859-15', 'utf-16le', 'none']) {
      expectNext();
      const type = `Content-Type: text/plain; charset=${charset}`;
      const field = part(`Content-Disposition: form-data; name="Path"${crlf}${type}`, folder);
      send(`${file('x')}${field}${end}`);
      equal(whole((await arrived).form).path, folder, charset);
    }
  });

  it('takes the first file and the first folder, and drops the rest', async () => {
    const other = part('Content-Disposition: form-data; name="other"; filename="o"', 'other');
    send(`${other}${file('one', '1')}${file('two', '2')}${path('/a')}${path('/b')}${end}`);
    const { form, saved } = await arrived;
    deepEqual([whole(form), saved], [{ path: '/a', file: 'one' }, '1']);
  });

  it('takes no file without a name', async () => {
    send(`${part('Content-Disposition: form-data; name="file"', 'x')}${path('/a')}${end}`);
    deepEqual(whole((await arrived).form), { path: '/a', file: undefined });
  });

  it('refuses what is no form, and a form that ends too soon', async () => {
    send(file('x').slice(0, -30));
    const { form } = await arrived;
    equal(!(form instanceof AgentError) && form.kind, 'bad');
  });

  it('refuses a folder that is longer than any', async () => {
    send(`${path('x'.repeat(20_000))}${file('x')}${end}`);
    const { form } = await arrived;
    deepEqual(form, { kind: 'bad', details: 'form field over 16384 bytes' });
  });

  it('looks at no more parts than its bound', async () => {
    send(`${path('x').replace('Path', 'y').repeat(20)}${path('/a')}${end}`);
    deepEqual(whole((await arrived).form), { path: undefined, file: undefined });
  });

  it('gives up at once when the file cannot be saved, and answers while the client still sends', async () => {
    failAfter = 100_000;
    const client = send(file('x', 'x'.repeat(300_000)), 10_000_000);
    const { form } = await arrived;
    ok(form instanceof AgentError && form.message === 'disk full');
    const [answer] = (await once(client, 'data')) as [Buffer];
    ok(answer.toString().startsWith('HTTP/1.1 200'));
  });

  it('answers a client that asked to be closed behind it when that has sent all, so that it reads no reset', async () => {
    failAfter = 100_000;
    const rest = 10_000_000;
    const begun = file('x', 'x'.repeat(300_000));
    const client = send(begun, begun.length + rest, 'close');
    let answer = '';
    client.setEncoding('latin1').on('data', (text: string) => {
      answer += text;
    });
    const failed = once(client, 'error');
    await eventually(() => ok(client.bytesWritten >= begun.length));
    for (let sent = 0; sent < rest; sent += 100_000) {
      equal(answer, '', 'the answer ends the connection');
      if (!client.write(Buffer.alloc(100_000))) await Promise.race([once(client, 'drain'), failed]);
    }
    await once(client, 'close');
    ok(answer.startsWith('HTTP/1.1 200') && answer.endsWith('done'), answer);
  });

  it('answers a client that sends no form and asked to be closed, when that has sent all', async () => {
    const { port } = server.address() as AddressInfo;
    const client = connect({ port, host: '127.0.0.1' });
    sockets.push(client);
    const head = [
      'POST / HTTP/1.1',
      'Host: a',
      'Content-Type: text/plain',
      'Content-Length: 200000',
      'Connection: close',
    ];
    client.write([...head, '', ''].join(crlf));
    // What it is was decided by then.
    await new Promise((resolve) => setTimeout(resolve, 20));
    client.write('x'.repeat(200_000));
    let text = '';
    for await (const piece of client) text += String(piece);
    match(text, /^HTTP\/1\.1 200 .*done/s);
    const { form } = await arrived;
    ok(!(form instanceof AgentError) && form.kind === 'bad');
  });

  it('ends a client that falls silent, also one whose rest is dropped', async () => {
    silenceMs = 50;
    failAfter = 10;
    const client = send(file('x', 'x'.repeat(30_000)), 1_000_000, 'close');
    await once(client, 'close');
    ok((await arrived).form instanceof AgentError);
  });

  it('ends a client that falls silent', async () => {
    silenceMs = 50;
    send(file('x').slice(0, -10), 1_000);
    const { form } = await arrived;
    ok(form instanceof AgentError && form.code === 'cancelled');
  });

  it('ends with a client that leaves, wherever the rest of its form is then', async () => {
    // In the saver's buffer, in the form's, in the request's or still on its way.
    for (let kilobytes = 60; kilobytes <= 400; kilobytes += 20) {
      expectNext();
      const { promise, resolve } = Promise.withResolvers<void>();
      mayBegin = promise;
      const client = send(`${file('x', 'x'.repeat(kilobytes * 1_000))}${path('/a')}${end}`);
      await new Promise((sent) => setTimeout(sent, 30));
      client.resetAndDestroy();
      await new Promise((left) => setTimeout(left, 30));
      resolve();
      const { form } = await arrived;
      ok(
        form instanceof AgentError ? form.code === 'cancelled' : form.kind === 'whole',
        JSON.stringify(form),
      );
    }
  });

  it('notices a client that leaves', async () => {
    const client = send(file('x', 'x'.repeat(200_000)), 1_000_000);
    client.end();
    const { form } = await arrived;
    ok(form instanceof AgentError && form.code === 'cancelled');
  });
});
