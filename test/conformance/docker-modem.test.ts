// What docker-modem, below dockerode and testcontainers, sends in a way of its own: `/session` with an empty chunked body.

import { deepEqual, equal } from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import Docker from 'dockerode';
import { type AgentUnderTest, useAgent } from '../support/checks.ts';
import { eventually } from '../support/eventually.ts';
import { requestRaw } from '../support/raw-http.ts';

/** As dockerode's BuildKit builds open it. */
function openSession(socketPath: string): Promise<Duplex> {
  const { modem } = new Docker({ socketPath });
  const headers = { Upgrade: 'h2c', 'X-Docker-Expose-Session-Uuid': 'session-1' };
  const statusCodes = { 200: true, 500: 'server error' };
  const options = { path: '/session', method: 'POST', hijack: true, headers, statusCodes };
  return new Promise((resolve, reject) => {
    modem.dial(options, (error: unknown, result: unknown) => {
      if (error === null || error === undefined)
        resolve(result as Duplex); // a hijack's result is its connection
      else reject(error instanceof Error ? error : new Error(String(error)));
    });
  });
}

async function echo(stream: Duplex, text: string): Promise<string> {
  stream.write(text);
  let back = '';
  while (back.length < text.length) {
    const [piece] = (await once(stream, 'data')) as [Buffer];
    back += piece.toString();
  }
  return back;
}

describe("dockerode's BuildKit session", () => {
  const under = useAgent();

  for (const [name, socketOf] of [
    ['cluster', ({ agent }: AgentUnderTest) => join(agent.socketDir, 'docker.sock')],
    ['node', ({ agent }: AgentUnderTest) => join(agent.socketDir, 'nodes', 'node1.sock')],
  ] as const) {
    it(`is carried by the ${name} socket, and nothing but its own bytes is input`, async () => {
      const path = socketOf(under());
      await eventually(() => requestRaw({ kind: 'unix', path }, { path: '/_ping' }));
      under().engine.forget();
      const session = await openSession(path);
      try {
        const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
        equal(await echo(session, preface), preface);
        deepEqual(
          under()
            .engine.receivedAt('/session')
            .map(({ headers }) => [headers.get('upgrade'), headers.has('transfer-encoding')]),
          [['h2c', false]],
        );
      } finally {
        session.destroy();
      }
    });
  }
});
