// What our own routes answer, and log, when one of them fails in a way that nobody foresaw.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type LogFields, silentLogger } from '../log.ts';
import { createOwnRoutes } from './own-routes.ts';

const unused = (): never => assert.fail('not asked for');

describe('own routes', () => {
  it('tell a failure by the route that failed, and log its reason', async () => {
    const logged: LogFields[] = [];
    const routes = createOwnRoutes(
      {
        view: () => {
          throw new Error('no view');
        },
        peerAgent: unused,
        travelling: unused,
        hostInfo: () => Promise.reject(new Error('/host/sys: it broke')),
        consoles: { serve: unused, serveHere: unused },
        dockerHub: { limits: unused },
        browse: unused,
        fail: unused,
        log: { ...silentLogger, warn: (event, fields) => void logged.push({ event, ...fields }) },
      },
      { clustered: () => true, answerHeaders: [] },
    );
    const server = createServer((req, res) =>
      routes.serveHere({ kind: 'request', req, res }, `GET ${req.url}`),
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      for (const [path, message, error] of [
        ['/host/info', 'Unable to retrieve host information', '/host/sys: it broke'],
        ['/agents', 'Unable to serve this request', 'no view'],
      ] as const) {
        // A listening TCP server has an address of this kind.
        const answer = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`);
        assert.equal(answer.status, 500);
        const body = (await answer.json()) as { message: string };
        assert.equal(body.message, message);
        assert.ok(!JSON.stringify(body).includes(error));
        assert.deepEqual(logged.pop(), { event: 'own route failed', route: `GET ${path}`, error });
      }
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});
