// The fake engine answers as a real one does: the same raw requests are put to both, and what a proxy can see is compared.

import { deepEqual, equal, match } from 'node:assert/strict';
import { once } from 'node:events';
import { type FakeEngine, startFakeEngine } from '../support/fake-engine.ts';
import { createLab, type Lab } from '../support/lab/lab.ts';
import {
  connectRaw,
  type RawAddress,
  type RawAnswer,
  type RawRequest,
  requestRaw,
} from '../support/raw-http.ts';

describe('fake engine beside a real engine', function () {
  this.timeout(60_000);
  let lab: Lab;
  let fake: FakeEngine;
  let engines: { readonly real: RawAddress; readonly fake: RawAddress };
  let containerId: string;

  before(async () => {
    lab = await createLab({ nodes: 1, swarm: false });
    const node = lab.node(1);
    containerId = (
      await node.docker(['run', '-d', '-i', '-t', '--name', 'web', 'busybox:lab', 'cat'])
    ).trim();
    fake = await startFakeEngine({ name: node.name });
    fake.state.containers = [{ id: containerId, name: 'web', tty: true, createdSeconds: 1_700_000_000 }];
    engines = {
      real: { kind: 'unix', path: node.engineSocket },
      fake: { kind: 'unix', path: fake.socketPath },
    };
  });

  after(async () => {
    await fake?.[Symbol.asyncDispose]();
    await lab?.[Symbol.asyncDispose]();
  });

  const requests: readonly RawRequest[] = [
    { path: '/_ping' },
    { method: 'HEAD', path: '/_ping' },
    { path: '/v1.40/version' },
    { path: '/info' },
    { path: '/containers/json' },
    { path: '/containers/web/json' },
    { path: '/containers/none/json' },
    { path: '/images/json' },
    { path: '/volumes' },
    { path: '/networks' },
    { path: '/nothing/here' },
    { method: 'DELETE', path: '/version' },
    { path: '/v1.99/version' },
    { path: '/nodes' },
    { path: '/services' },
    { path: '/exec/beef/json' },
    { method: 'POST', path: '/exec/beef/start', headers: { 'Content-Type': 'application/json' }, body: '{}' },
    { method: 'HEAD', path: '/containers/web/archive?path=/etc' },
    { method: 'POST', path: '/containers/none/wait' },
  ];
  for (const request of requests) {
    it(`${request.method ?? 'GET'} ${request.path} looks the same`, async () => {
      const real = await requestRaw(engines.real, request);
      const imitated = await requestRaw(engines.fake, request);
      deepEqual(visible(imitated), visible(real));
    });
  }

  for (const upgrade of [true, false]) {
    it(`hijacks in the same way ${upgrade ? 'with' : 'without'} an upgrade, and takes half-close`, async () => {
      const heads = [];
      for (const engine of [engines.real, engines.fake]) {
        await using connection = await connectRaw(engine);
        await connection.request({
          method: 'POST',
          path: `/containers/${containerId}/attach?stream=1&stdin=1&stdout=1&stderr=1`,
          headers: upgrade ? { Connection: 'Upgrade', Upgrade: 'tcp' } : {},
        });
        const { startLine, rawHeaders } = await connection.head();
        heads.push({ startLine, rawHeaders });
        await connection.send('typed\n');
        match((await connection.reader.until(Buffer.from('typed')))?.toString() ?? 'ended', /^(?:ready\n)?$/);
        connection.halfClose();
        // Attach without `stdin once`: the container lives on, and so does the other direction of a real engine.
        connection.socket.destroy();
        if (!connection.socket.closed) await once(connection.socket, 'close');
      }
      deepEqual(heads[1], heads[0]);
    });
  }

  it('sends the head of wait before the container exits, like a real one', async () => {
    for (const engine of [engines.real, engines.fake]) {
      await using connection = await connectRaw(engine);
      await connection.request({ method: 'POST', path: `/containers/${containerId}/wait` });
      const head = await connection.head();
      equal(head.status, 200);
      equal(head.headers.get('content-type'), 'application/json');
      equal(head.headers.get('transfer-encoding'), 'chunked');
    }
  });
});

// Framing, and two headers of the ping that releases after 20.10 have.
const ignored = ['content-length', 'transfer-encoding', 'builder-version', 'swarm'];

/** What does not depend on the time, the content or the release: status, the names of the headers, and the error. */
function visible({ status, headers, body }: RawAnswer): Record<string, unknown> {
  const text = body.toString();
  return {
    status,
    names: [...headers.keys()].filter((name) => !ignored.includes(name)).toSorted(),
    type: headers.get('content-type'),
    error: status >= 400 ? text : undefined,
    array: text.startsWith('['),
  };
}
