// Consoles: `/websocket/exec` and `/websocket/attach` (agent-api.md 9), here or on the member that has the container.
// The engine is asked before the client is upgraded, so that a refusal reaches the browser as an HTTP answer with the
// engine's own words.

import { WebSocketServer } from 'ws';
import type { ClusterView, Member } from '../../cluster/cluster.ts';
import { AgentError, toAgentError } from '../../errors.ts';
import { type Answer, answer, type Exchange, hasLeft, leaveSignal } from '../../exchange.ts';
import type { Logger } from '../../log.ts';
import type { HijackAnswer, OpenLimits, PeerTransport, ProxyRequest } from '../../proxy/proxy.ts';
import { portainerHeaders } from '../../wire.ts';
import type { Fail } from '../error-response.ts';
import { type ConsoleRequest, engineRefusal, engineRequest, planConsole } from './websocket-plan.ts';
import { maxConsoleMessageBytes, runSession } from './websocket-session.ts';

export interface ConsolesNeeds {
  readonly view: () => ClusterView;
  readonly hijack: (request: ProxyRequest, limits: OpenLimits) => Promise<HijackAnswer>;
  readonly peer: PeerTransport;
  /** The member that has a full id; self where nobody has it. */
  readonly findOwner: (
    resource: 'containers' | 'exec',
    id: string,
    peerHeaders: readonly string[],
    signal: AbortSignal,
  ) => Promise<Member>;
  /** Answers with an error in the compat listener's shape. */
  readonly fail: Fail;
  readonly log: Logger;
}

export interface ConsolesOptions {
  readonly clustered: () => boolean;
  /** Flat list that the compat listener adds to its refusals; the 101 carries none of it. */
  readonly answerHeaders: readonly string[];
  /** Between two pings of an open console, milliseconds. Default 50 s, as Portainer's agent. */
  readonly pingEveryMs?: number;
}

/** The request's path without version and `/v1` or `/v2`, and its query with the question mark. */
export interface ConsoleTarget {
  readonly path: string;
  readonly query: string;
}

export interface Consoles {
  /** For the compat listener: here, on the targeted member, or on the one that has this id. */
  serve(exchange: Exchange, target: ConsoleTarget): void;
  /** For the peer listener: always here. */
  serveHere(exchange: Exchange, target: ConsoleTarget): void;
  /** Closes those of this node, now and as they come. Relayed ones end with the member that has them, or by force. */
  stop(): void;
}

/** Consoles open on one node; beyond, new ones are refused with 503. */
export const maxConsoles: number = 1024;
const defaultPingEveryMs = 50_000;
/** For the engine to start what an exec runs; Portainer gives up after 45 s. */
const engineAnswerMs = 30_000;

export function createConsoles(needs: ConsolesNeeds, options: ConsolesOptions): Consoles {
  const stopping = new AbortController();
  const desk: Desk = {
    ...needs,
    ...options,
    open: new Set(),
    upgrader: createUpgrader(),
    stopping: stopping.signal,
  };
  const guarded = (exchange: Exchange, work: Promise<void>): void => {
    work.catch((error: unknown) => {
      if (!hasLeft(exchange)) desk.fail(exchange, toAgentError(error, 'unavailable', 'open a console'));
    });
  };
  return {
    serve: (exchange, target) => guarded(exchange, place(desk, exchange, target)),
    serveHere: (exchange, target) => guarded(exchange, start(desk, exchange, target)),
    stop: () => stopping.abort(),
  };
}

interface Desk extends ConsolesNeeds, ConsolesOptions {
  readonly open: Set<Exchange>;
  readonly upgrader: WebSocketServer;
  readonly stopping: AbortSignal;
}

function createUpgrader(): WebSocketServer {
  return new WebSocketServer({
    noServer: true,
    clientTracking: false,
    // The 101 names no subprotocol and no compression (agent-api.md 9.2).
    perMessageDeflate: false,
    handleProtocols: () => false,
    maxPayload: maxConsoleMessageBytes,
    // Keystrokes go to the engine as they are, and are none of our business.
    skipUTF8Validation: true,
  });
}

async function place(desk: Desk, exchange: Exchange, target: ConsoleTarget): Promise<void> {
  const plan = planned(exchange, target);
  if (plan.kind === 'refused') {
    refuse(desk, exchange, plan.answer);
    return;
  }
  const member = await memberFor(desk, exchange, plan.console);
  if (member.self) await open(desk, exchange, plan.console);
  else relay(desk, exchange, member, target);
}

async function start(desk: Desk, exchange: Exchange, target: ConsoleTarget): Promise<void> {
  const plan = planned(exchange, target);
  if (plan.kind === 'refused') refuse(desk, exchange, plan.answer);
  else await open(desk, exchange, plan.console);
}

function planned({ req }: Exchange, { path, query }: ConsoleTarget): ReturnType<typeof planConsole> {
  const { upgrade, 'sec-websocket-key': key, 'sec-websocket-version': version } = req.headers;
  return planConsole(path, query, { upgrade, key, version });
}

/** Empty and own name mean here (agent-api.md Q8), or wherever a full id is; a lone agent ignores the header. */
async function memberFor(desk: Desk, exchange: Exchange, { kind, id }: ConsoleRequest): Promise<Member> {
  const view = desk.view();
  if (!desk.clustered()) return view.self;
  const name = exchange.req.headers[portainerHeaders.target]?.toString() ?? '';
  if (name !== '') {
    const member = view.members.find(({ record }) => record.nodeName === name);
    if (member === undefined) throw new AgentError('member-unknown', `find the agent of ${name}`);
    return member;
  }
  if (!/^[0-9a-f]{64}$/.test(id)) return view.self;
  const resource = kind === 'exec' ? 'exec' : 'containers';
  return desk.findOwner(resource, id, exchange.req.rawHeaders, leaveSignal(exchange));
}

/** Byte for byte, as every hijack between agents: frames, pings and closes are the client's and the member's own. */
function relay(desk: Desk, exchange: Exchange, member: Member, { path, query }: ConsoleTarget): void {
  if (exchange.kind === 'request') throw new AgentError('request-invalid', 'open a console: no upgrade');
  const { method = '', rawHeaders } = exchange.req;
  const { nodeName } = member.record;
  desk.peer(member).splice({ method, path: `${path}${query}`, rawHeaders }, exchange.socket, exchange.head, {
    endless: true,
    answerHeaders: [],
    onUnreachable: (error) => {
      desk.log.warn('console not opened', { node: nodeName, error: String(error) });
      refuse(desk, exchange, unreachable);
    },
  });
}

const unreachable: Answer = {
  status: 503,
  headers: ['Content-Type', 'text/plain; charset=utf-8'],
  body: 'Service Unavailable\n',
};

function refuse({ answerHeaders }: Desk, exchange: Exchange, shaped: Answer): void {
  answer(exchange, { ...shaped, headers: [...answerHeaders, ...shaped.headers] });
}

async function open(desk: Desk, exchange: Exchange, request: ConsoleRequest): Promise<void> {
  if (exchange.kind === 'request') throw new AgentError('request-invalid', 'open a console: no upgrade');
  if (desk.open.size >= maxConsoles)
    throw new AgentError('limit-exceeded', `open a console: ${maxConsoles} are open`);
  desk.open.add(exchange);
  try {
    const limits = { signal: leaveSignal(exchange), firstByteMs: engineAnswerMs };
    const hijack = await desk.hijack(engineRequest(request), limits);
    if (hijack.kind === 'refused') refuse(desk, exchange, engineRefusal(hijack.status, hijack.body));
    else await converse(desk, exchange, request, hijack);
  } finally {
    desk.open.delete(exchange);
  }
}

async function converse(
  { upgrader, log, stopping, pingEveryMs = defaultPingEveryMs }: Desk,
  exchange: Exchange & { readonly kind: 'upgrade' },
  { kind, id }: ConsoleRequest,
  { stream }: Extract<HijackAnswer, { kind: 'hijacked' }>,
): Promise<void> {
  const { req, socket, head } = exchange;
  // A client that left meanwhile is not upgraded, and the engine must not be held for it.
  socket.once('close', () => stream.destroy());
  if (socket.destroyed) stream.destroy();
  let session: Promise<string> | undefined;
  upgrader.handleUpgrade(req, socket, head, (websocket) => {
    session = runSession(websocket, stream, { pingEveryMs, stopping });
  });
  const ended = session === undefined ? 'client-left' : await session;
  log.debug('console ended', { kind, id, why: ended });
}
