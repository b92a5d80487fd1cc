// Measures of one member over real TLS: a peer that answers, one whose clock is ahead, one that swallows large payloads,
// and those that do not let us in.

import assert from 'node:assert/strict';
import type { RequestListener } from 'node:http';
import tls from 'node:tls';
import { type FakePeer, startFakePeer } from '../../test/support/fake-peer.ts';
import { AgentError } from '../errors.ts';
import { peerPaths } from '../wire.ts';
import type { DialPeer } from './peer-client.ts';
import { type MeasureOptions, measuredPayloads, measurePeer, type PeerMeasure } from './peer-measure.ts';
import { servePeerProbe } from './peer-probe.ts';

const never = new AbortController().signal;
const patient: MeasureOptions = { payloadBytes: measuredPayloads, stepTimeoutMs: 15_000 };
/** For members of which a step is never answered, and those before it are. */
const quick: MeasureOptions = { ...patient, stepTimeoutMs: 1_000 };

const dial: DialPeer = ({ address, peerPort }) =>
  new Promise((resolve, reject) => {
    const socket = tls.connect({ host: address, port: peerPort, rejectUnauthorized: false });
    socket.once('error', reject);
    socket.once('secureConnect', () => resolve(socket));
  });

function answers(nowMs: () => number): RequestListener {
  return (req, res) => void servePeerProbe({ kind: 'request', req, res }, req.url ?? '', nowMs);
}

async function measured(
  serve: RequestListener,
  options = patient,
): Promise<readonly [PeerMeasure, FakePeer]> {
  await using peer = await startFakePeer('node2');
  peer.serve(serve);
  return [await measurePeer(dial, peer.member, Date.now, options, never), peer];
}

describe('measuring a member', () => {
  it('takes its round trip, its clock, and payloads there and back, over one connection', async () => {
    const [{ connection, clock, payloads }, peer] = await measured(answers(() => Date.now() + 60_000));
    assert.equal(connection.kind, 'open');
    assert.ok(clock?.kind === 'told' && clock.rttMs > 0 && clock.rttMs < patient.stepTimeoutMs);
    // Known as well as half of the round trip.
    assert.ok(Math.abs(clock.skewMs - 60_000) <= clock.rttMs / 2 + 50, String(clock.skewMs));
    assert.deepEqual(payloads, [
      { bytes: 1_400, fault: undefined },
      { bytes: 65_536, fault: undefined },
    ]);
    assert.equal(peer.peakSockets(), 1);
    assert.deepEqual(
      peer.requests.map(({ method, url }) => `${method} ${url}`),
      [
        `GET ${peerPaths.clock}`,
        `GET ${peerPaths.clock}`,
        `POST ${peerPaths.echo}`,
        `POST ${peerPaths.echo}`,
      ],
    );
  });

  it('stops at the first payload that does not come back', async () => {
    const serve = answers(Date.now);
    const [{ payloads }] = await measured((req, res) => {
      if (req.method === 'GET' || req.headers['content-length'] === '1400') serve(req, res);
    }, quick);
    assert.deepEqual(payloads, [
      { bytes: 1_400, fault: undefined },
      { bytes: 65_536, fault: 'no answer in time' },
    ]);
    const [{ payloads: first }] = await measured((req, res) => {
      if (req.method === 'GET') serve(req, res);
    }, quick);
    assert.deepEqual(first, [{ bytes: 1_400, fault: 'no answer in time' }]);
  });

  it('tells apart who does not let us in, who is of another version, and who hangs', async () => {
    const clockOf = async (status: number): Promise<PeerMeasure['clock']> =>
      (await measured((_req, res) => res.writeHead(status).end()))[0].clock;
    assert.deepEqual(await clockOf(403), { kind: 'not-member' });
    assert.deepEqual(await clockOf(404), { kind: 'unknown-path', status: 404 });
    const [hanging] = await measured(() => undefined, quick);
    assert.deepEqual(hanging.clock, { kind: 'failed', reason: 'no answer in time' });
    const [cut] = await measured((req) => req.socket.destroy());
    assert.equal(cut.clock?.kind, 'failed');
  });

  it('keeps the reason of a dial that failed', async () => {
    await using peer = await startFakePeer('node2');
    const refuse = (): Promise<never> => Promise.reject(new AgentError('member-untrusted', 'another one'));
    const measure = await measurePeer(refuse, peer.member, Date.now, patient, never);
    assert.deepEqual(measure.connection, { kind: 'failed', code: 'member-untrusted', reason: 'another one' });
  });

  it('echoes up to a bound, and nothing on other paths', async () => {
    const refusals: unknown[] = [];
    const serve: RequestListener = (req, res) => {
      servePeerProbe({ kind: 'request', req, res }, req.url ?? '', Date.now).catch((error: unknown) => {
        refusals.push(error instanceof AgentError);
        res.writeHead(413).end();
      });
    };
    const [{ payloads }] = await measured(serve, { ...patient, payloadBytes: [65_536, 65_537] });
    assert.deepEqual(
      payloads.map(({ fault }) => fault),
      [undefined, 'status 413'],
    );
    assert.deepEqual(refusals, [true]);
    await using peer = await startFakePeer('node2');
    const served: boolean[] = [];
    peer.serve((req, res) => {
      void servePeerProbe({ kind: 'request', req, res }, '/version', Date.now).then((was) => {
        served.push(was);
        res.writeHead(404).end();
      });
    });
    await measurePeer(dial, peer.member, Date.now, patient, never);
    assert.deepEqual(served, [false]);
  });
});
