// What Portainer's Edge routes answer, written from the protocol and not from the agent's code.

import { etagOf } from './etag.ts';

/** Members of a poll answer, as the server writes them. */
export interface PollBody {
  readonly status: string;
  readonly port: number;
  readonly schedules: readonly unknown[] | null;
  readonly checkin: number;
  readonly credentials: string;
  readonly stacks: readonly unknown[] | null;
}

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly rawHeaders: readonly string[];
  readonly body: string;
  /** Address of who sent it. */
  readonly from: string;
  /** `performance.now()` of its arrival. */
  readonly atMs: number;
  /** As answered; undefined while it is not. */
  status: number | undefined;
}

export interface Reply {
  readonly status: number;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface EdgeServerState {
  readonly environmentId: number;
  readonly olderOnly: boolean;
  said: PollBody;
  /** The first that polled; others are refused. */
  boundEdgeId: string | undefined;
  readonly stackFiles: Map<number, unknown>;
  readonly stackStatuses: StackStatus[];
  readonly jobLogs: Map<number, string>;
}

export interface StackStatus {
  readonly stackId: number;
  readonly body: Readonly<Record<string, unknown>>;
}

type Route = readonly [
  method: string,
  path: RegExp,
  reply: (state: EdgeServerState, request: SeenRequest, ids: readonly number[]) => Reply,
];

const routes: readonly Route[] = [
  ['GET', /^\/api\/endpoints\/(\d+)\/edge\/status$/, newerStatus],
  ['GET', /^\/api\/endpoints\/(\d+)\/status$/, olderStatus],
  ['POST', /^\/api\/endpoints\/global-key$/, globalKey],
  ['GET', /^\/api\/endpoints\/(\d+)\/edge\/stacks\/(\d+)$/, stackFile],
  ['POST', /^\/api\/endpoints\/(\d+)\/edge\/jobs\/(\d+)\/logs$/, jobLog],
  ['PUT', /^\/api\/edge_stacks\/(\d+)\/status$/, stackStatus],
];

export function replyTo(state: EdgeServerState, request: SeenRequest): Reply {
  const pathname = request.path.split('?')[0] ?? '';
  for (const [method, path, reply] of routes) {
    const match = request.method === method ? path.exec(pathname) : null;
    if (match !== null) return reply(state, request, match.slice(1).map(Number));
  }
  return refusal(404, 'Not found');
}

export function edgeIdOf({ headers }: SeenRequest): string {
  return headers['x-portaineragent-edgeid'] ?? '';
}

function newerStatus(state: EdgeServerState, request: SeenRequest, [id]: readonly number[]): Reply {
  if (state.olderOnly) return refusal(404, 'Not found');
  if (!isAllowed(state, request, id)) return denied;
  if (!['1', '2'].includes(request.headers['portainer-agent-platform'] ?? ''))
    return refusal(400, 'Unable to parse agent platform header');
  return status(state, request);
}

/** Today's server sends it to the newer route. */
function olderStatus(state: EdgeServerState, request: SeenRequest, [id]: readonly number[]): Reply {
  if (!state.olderOnly)
    return { status: 308, body: '', headers: { Location: `/api/endpoints/${id}/edge/status` } };
  return isAllowed(state, request, id) ? status(state, request) : denied;
}

function status({ said }: EdgeServerState, { headers }: SeenRequest): Reply {
  const body = JSON.stringify(said);
  const etag = etagOf(body);
  const known = (headers['if-none-match'] ?? '').split(',').includes(etag);
  return { status: known ? 304 : 200, body: known ? '' : body, headers: { ETag: etag } };
}

function globalKey(state: EdgeServerState, request: SeenRequest): Reply {
  return edgeIdOf(request) === state.boundEdgeId
    ? { status: 200, body: JSON.stringify({ endpointID: state.environmentId }) }
    : refusal(404, 'Unable to find the endpoint in the database');
}

function stackFile(state: EdgeServerState, request: SeenRequest, [id, stackId]: readonly number[]): Reply {
  if (!isAllowed(state, request, id)) return denied;
  const found = state.stackFiles.get(stackId ?? 0);
  return found === undefined
    ? refusal(404, 'Unable to find an edge stack')
    : { status: 200, body: JSON.stringify(found) };
}

function jobLog(state: EdgeServerState, request: SeenRequest, [id, jobId]: readonly number[]): Reply {
  if (!isAllowed(state, request, id)) return denied;
  const { FileContent } = JSON.parse(request.body) as { FileContent: string };
  state.jobLogs.set(jobId ?? 0, FileContent);
  return { status: 200, body: 'null' };
}

function stackStatus(state: EdgeServerState, request: SeenRequest, [stackId]: readonly number[]): Reply {
  const body = JSON.parse(request.body) as Readonly<Record<string, unknown>>;
  const isEmptyError = body.Status === 2 && (body.Error ?? '') === '';
  if (body.Status === undefined || body.EndpointID === 0 || isEmptyError)
    return refusal(400, 'Invalid request payload');
  state.stackStatuses.push({ stackId: stackId ?? 0, body });
  return { status: 200, body: 'null' };
}

function isAllowed(state: EdgeServerState, request: SeenRequest, id: number | undefined): boolean {
  const edgeId = edgeIdOf(request);
  if (edgeId === '' || id !== state.environmentId) return false;
  state.boundEdgeId ??= edgeId;
  return edgeId === state.boundEdgeId;
}

const denied = refusal(403, 'Permission denied to access environment');

function refusal(status: number, message: string): Reply {
  return { status, body: JSON.stringify({ message, details: message }) };
}
