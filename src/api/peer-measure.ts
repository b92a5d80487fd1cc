// Measures one member over one connection to its peer listener: round trip, clock, and whether payloads of several
// packets come through in both directions. Each step has its own deadline; the first that fails ends the measuring.

import https from 'node:https';
import type { Duplex } from 'node:stream';
import type { Member } from '../cluster/cluster.ts';
import { AgentError, reasonOf, toAgentError } from '../errors.ts';
import { peerPaths } from '../wire.ts';
import { askPeer, type DialPeer, type PeerAnswer } from './peer-client.ts';
import type { ClockAnswer } from './peer-probe.ts';

export interface PeerMeasure {
  readonly connection:
    | { readonly kind: 'open' }
    | { readonly kind: 'failed'; readonly code: AgentError['code']; readonly reason: string };
  /** Undefined when it did not answer; `notMember` when it did not accept us; `unknown` when it knows no such path. */
  readonly clock:
    | { readonly kind: 'told'; readonly rttMs: number; readonly skewMs: number }
    | { readonly kind: 'not-member' }
    | { readonly kind: 'unknown-path'; readonly status: number }
    | { readonly kind: 'failed'; readonly reason: string }
    | undefined;
  readonly payloads: readonly PayloadMeasure[];
}

export interface PayloadMeasure {
  readonly bytes: number;
  /** Undefined when it came back whole. */
  readonly fault: string | undefined;
}

export interface MeasureOptions {
  /** Sizes of the payloads to send, smallest first; none for the round trip alone. */
  readonly payloadBytes: readonly number[];
  readonly stepTimeoutMs: number;
}

/** One packet of nearly every network, and many packets. */
export const measuredPayloads: readonly number[] = [1_400, 64 * 1024];

export async function measurePeer(
  dial: DialPeer,
  { record }: Member,
  nowMs: () => number,
  { payloadBytes, stepTimeoutMs }: MeasureOptions,
  signal: AbortSignal,
): Promise<PeerMeasure> {
  let socket: Duplex;
  try {
    socket = await dial(record);
  } catch (error) {
    const { code, message } = toAgentError(error, 'member-unreachable', `dial ${record.nodeName}`);
    return { connection: { kind: 'failed', code, reason: message }, clock: undefined, payloads: [] };
  }
  const agent = oneConnection(socket);
  const post = (path: string, body: Buffer | undefined): Promise<PeerAnswer> =>
    ask(agent, path, body, AbortSignal.any([signal, AbortSignal.timeout(stepTimeoutMs)]));
  try {
    const connection = { kind: 'open' } as const;
    const clock = await measureClock(post, nowMs);
    if (clock.kind !== 'told') return { connection, clock, payloads: [] };
    return { connection, clock, payloads: await measurePayloads(post, payloadBytes) };
  } finally {
    agent.destroy();
    socket.destroy();
  }
}

type Ask = (path: string, body: Buffer | undefined) => Promise<PeerAnswer>;

/** The first answer warms up both sides; the second is the one that counts. */
async function measureClock(
  ask: Ask,
  nowMs: () => number,
): Promise<Exclude<PeerMeasure['clock'], undefined>> {
  try {
    const { status } = await ask(peerPaths.clock, undefined);
    if (status === 403) return { kind: 'not-member' };
    if (status !== 200) return { kind: 'unknown-path', status };
    const sentMs = performance.now();
    const { body } = await ask(peerPaths.clock, undefined);
    const rttMs = performance.now() - sentMs;
    // The other side is this same program: its answer has the shape that peer-probe.ts gives it.
    const told = JSON.parse(body.toString('utf8')) as ClockAnswer;
    return { kind: 'told', rttMs, skewMs: told.nowMs - (nowMs() - rttMs / 2) };
  } catch (error) {
    return { kind: 'failed', reason: reasonOf(error) };
  }
}

async function measurePayloads(ask: Ask, sizes: readonly number[]): Promise<readonly PayloadMeasure[]> {
  const measured: PayloadMeasure[] = [];
  for (const bytes of sizes) {
    const fault = await faultOfEcho(ask, bytes);
    measured.push({ bytes, fault });
    // The connection is stuck behind it.
    if (fault !== undefined) break;
  }
  return measured;
}

async function faultOfEcho(ask: Ask, bytes: number): Promise<string | undefined> {
  try {
    const { status, body } = await ask(peerPaths.echo, Buffer.alloc(bytes, 'x'));
    if (status !== 200) return `status ${status}`;
    return body.length === bytes ? undefined : `${body.length} bytes came back`;
  } catch (error) {
    return reasonOf(error);
  }
}

/** All requests go over this connection, one after the other; when it is gone, so are they. */
function oneConnection(socket: Duplex): https.Agent {
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
  let used = false;
  // Node's own hook for agents that connect in their own way (http docs, `agent.createConnection`).
  agent.createConnection = () => {
    if (used) throw new AgentError('member-unreachable', 'the connection was closed by the other side');
    used = true;
    return socket;
  };
  return agent;
}

async function ask(
  agent: https.Agent,
  path: string,
  body: Buffer | undefined,
  signal: AbortSignal,
): Promise<PeerAnswer> {
  try {
    return await askPeer({ path, method: body === undefined ? 'GET' : 'POST', agent, signal }, body);
  } catch (error) {
    throw signal.aborted ? new AgentError('timeout', 'no answer in time', { cause: error }) : error;
  }
}
