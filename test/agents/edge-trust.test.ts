// Whom an agent in Edge mode belongs to, and where its plain HTTP listens: only what comes through its own tunnel can be
// the first to sign, and nothing that comes through it gets the Edge key.

import { equal, match } from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type EdgeAgentUnderTest,
  spreadWithin,
  startEdgeAgent,
  startEdgeCluster,
} from '../support/edge-agents.ts';
import type { ChiselServer } from '../support/edge-server/chisel-server.ts';
import { type EdgeServer, startEdgeServer } from '../support/edge-server/edge-server.ts';
import { requireTunnel, startChisel, tunnelOf } from '../support/edge-tunnel.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { type RawAnswer, type RawRequest, requestRaw } from '../support/raw-http.ts';
import { isLong } from '../support/scale.ts';
import { createSigner, type Signer } from '../support/signer.ts';

const openWithin = { withinMs: 40_000, everyMs: 50 };
/** Of no host: RFC 5737. */
const elsewhere = '203.0.113.7';

type Ask = (request: RawRequest) => Promise<RawAnswer>;

/** Resolves with the way through the tunnel, once it is open. */
async function throughTunnel(server: EdgeServer, chisel: ChiselServer): Promise<Ask> {
  const port = await freePort();
  requireTunnel(server, chisel, port);
  const ask: Ask = (request) => requestRaw({ kind: 'tcp', host: '127.0.0.1', port }, request);
  await eventually(async () => equal((await ask({ path: '/ping' })).status, 204), openWithin);
  return ask;
}

async function statusOf(ask: Ask, signer: Signer, headers: RawRequest['headers'] = {}): Promise<number> {
  const signed = { ...signer.headers(), ...headers };
  return (await ask({ path: '/containers/json', headers: signed })).status;
}

describe('trust in Edge mode', function () {
  this.timeout(isLong ? 240_000 : 150_000);

  it('belongs to who signs first through the tunnel, over restarts, and to nobody on its own network', async () => {
    await using chisel = await startChisel();
    await using server = await startEdgeServer(tunnelOf(chisel));
    const [stranger, portainer] = [createSigner(), createSigner()];
    const dataPath = await mkdtemp(join(tmpdir(), 'edge-trust-'));
    const start = (): Promise<EdgeAgentUnderTest> =>
      startEdgeAgent({ dataPath, env: { EDGE_KEY: server.key() } });
    try {
      {
        await using edge = await start();
        equal(await statusOf(edge.request, stranger), 403);
        const tunnel = await throughTunnel(server, chisel);
        const refused = await edge.request({ path: '/containers/json', headers: stranger.headers() });
        equal(refused.status, 403, 'an open tunnel lets nobody else in');
        match(refused.body.toString(), /takes its first Portainer through its tunnel only/);
        equal(await statusOf(tunnel, portainer), 200);
        equal(
          await statusOf(edge.request, portainer),
          200,
          'the key counts from then on, wherever it comes from',
        );
        equal(await statusOf(edge.request, stranger), 403);
      }
      server.say({ status: 'IDLE', port: 0, credentials: '' });
      await using again = await start();
      equal(await statusOf(again.request, portainer), 200, 'kept on disk');
      equal(await statusOf(again.request, stranger), 403);
    } finally {
      await rm(dataPath, { recursive: true, force: true });
    }
  });

  it('gives the Edge key to nobody through the tunnel', async () => {
    await using chisel = await startChisel();
    await using server = await startEdgeServer(tunnelOf(chisel));
    await using edge = await startEdgeAgent({ env: { EDGE_KEY: server.key() } });
    const tunnel = await throughTunnel(server, chisel);
    equal((await edge.request({ path: '/key' })).status, 200);
    for (const method of ['GET', 'POST']) {
      const refused = await tunnel({ method, path: '/key', headers: createSigner().headers() });
      equal(refused.status, 403, method);
      equal(refused.body.includes(server.key()), false);
    }
  });

  for (const secret of [undefined, 'a secret of the cluster']) {
    const kind = secret === undefined ? 'without a secret' : 'with a secret';
    it(`E8 is associated on every member of a cluster ${kind} by what came through the leader's tunnel`, async () => {
      await using chisel = await startChisel();
      await using server = await startEdgeServer(tunnelOf(chisel));
      await using cluster = await startEdgeCluster({
        members: [
          { name: 'node1', swarm: 'manager' },
          { name: 'node2', swarm: 'worker' },
        ],
        env: { EDGE_KEY: server.key(), ...(secret !== undefined && { FLOTILLA_CLUSTER_SECRET: secret }) },
      });
      const other = cluster.members[1]?.request;
      if (other === undefined) throw new Error('no second member');
      const [stranger, portainer] = [createSigner(), createSigner()];
      const tunnel = await throughTunnel(server, chisel);
      equal(await statusOf(other, stranger), 403);
      equal(await statusOf(tunnel, portainer, { 'X-PortainerAgent-Target': 'node2' }), 200);
      await eventually(async () => equal(await statusOf(other, portainer), 200), spreadWithin);
      equal(await statusOf(other, stranger), 403);
    });
  }

  const advertised: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
    ['alone', {}],
    [
      'in a cluster',
      { FLOTILLA_SEEDS: `${elsewhere}:7946`, FLOTILLA_CLUSTER_SECRET: 'a secret of the cluster' },
    ],
  ];
  for (const [kind, env] of advertised) {
    it(`listens on loopback where the advertised address is another host's: ${kind}`, async () => {
      await using edge = await startEdgeAgent({ env: { FLOTILLA_ADVERTISE_ADDR: elsewhere, ...env } });
      equal(edge.agent.compat.host, '127.0.0.1');
      equal((await edge.request({ path: '/ping' })).status, 403);
    });
  }
});
