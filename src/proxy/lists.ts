// Serves the lists that a cluster merges: the whole one to a client, and this node's decorated part to other agents.
// Identical lists that are asked for at the same time share one answer, which is never older than their requests.

import type { ClusterView, Member } from '../cluster/cluster.ts';
import { portainerHeaders } from '../wire.ts';
import type { Breakers } from './breakers.ts';
import type { ListKind } from './classify.ts';
import { type FanOutOptions, fanOut, isEngineGone, maxPartBytes } from './fan-out.ts';
import { headerValue } from './headers.ts';
import { laneDefaults } from './lanes.ts';
import { decoratePart, engineGoneStatus, jsonHeaders, mergeLists } from './merge.ts';
import { missingHeaders } from './missing-header.ts';
import type { FetchedPart, FetchLimits, ListForm, ProxyRequest, ServePart, Transport } from './proxy.ts';
import { countsBytes } from './query.ts';
import { createSerials } from './serials.ts';
import { createSingleFlight } from './single-flight.ts';

export interface ListsNeeds {
  readonly engine: Transport;
  /** Asks a member for its part, decorated. */
  readonly askMember: (member: Member, request: ProxyRequest, limits: FetchLimits) => Promise<FetchedPart>;
  readonly breakers: Breakers;
  /** The local node's name, as `docker info` has it. */
  readonly nodeName: () => string;
  readonly now?: () => number;
}

export interface ListsOptions {
  readonly memberTimeoutMs: number;
  /** For lists that make the engine count bytes. */
  readonly slowMemberTimeoutMs: number;
  /** True where members verify the client's signature: then only requests with the same one share an answer. */
  readonly passSignature: boolean;
}

/** A whole answer, without the listener's own headers. */
export interface ListAnswer {
  readonly status: number;
  /** Flat name, value list. */
  readonly headers: readonly string[];
  readonly body: Buffer;
}

export type OwnPart = (
  kind: ListKind,
  form: ListForm,
  request: ProxyRequest,
  limits: FetchLimits,
) => Promise<FetchedPart>;

export interface Lists {
  /** The list over all members of the view, Portainer's way: 200 with whatever could be had. */
  merge(kind: ListKind, request: ProxyRequest, view: ClusterView, signal: AbortSignal): Promise<ListAnswer>;
  /** This node's part: the engine's own answer, also a refusal, or that there is no engine. Rejects for other trouble. */
  readonly servePart: ServePart;
  /** The same for a merge that is made here; `limits` end it, and identical ones share a call to the engine. */
  readonly ownPart: OwnPart;
}

export function createLists(needs: ListsNeeds, options: ListsOptions): Lists {
  const parts = createSingleFlight<FetchedPart>(laneDefaults);
  const merges = createSingleFlight<ListAnswer>(laneDefaults);
  const serialOf = createSerials<ClusterView>();
  const now = needs.now ?? Date.now;

  const ownPart: OwnPart = (kind, form, request, limits) => {
    const ask = async (signal: AbortSignal): Promise<FetchedPart> => {
      const part = await needs.engine.fetch(request, { ...limits, signal });
      return decoratePart(kind, form, part, needs.nodeName());
    };
    // The path is the whole request: no header changes what an engine lists.
    return parts.run(`${form} ${request.path}`, ask, limits.signal);
  };

  const mergeNow = async (
    kind: ListKind,
    request: ProxyRequest,
    view: ClusterView,
    signal: AbortSignal,
  ): Promise<ListAnswer> => {
    const outcomes = await fanOut(
      {
        askEngine: (limits) => ownPart(kind, 'portainer', request, limits),
        askMember: (member, limits) => needs.askMember(member, request, limits),
        breakers: needs.breakers,
        now,
      },
      { view, signal, members: 'asked', ...deadlineOf(request.path, options) },
    );
    const { body, missing } = mergeLists(kind, outcomes, now());
    return {
      status: 200,
      headers: [...jsonHeaders, ...missingHeaders(outcomes.length, missing, now())],
      body,
    };
  };

  return {
    merge(kind, request, view, signal): Promise<ListAnswer> {
      const plain = withoutEncoding(request);
      const key = `${serialOf(view)} ${options.passSignature ? signatureOf(request) : ''} ${request.path}`;
      return merges.run(key, (shared) => mergeNow(kind, plain, view, shared), signal);
    },
    ownPart,
    async servePart(kind, form, request, signal): Promise<ListAnswer> {
      const { deadlineMs } = deadlineOf(request.path, options);
      const limits: FetchLimits = {
        signal,
        firstByteMs: deadlineMs,
        idleMs: deadlineMs,
        maxBytes: maxPartBytes,
      };
      try {
        const { status, rawHeaders, body } = await ownPart(kind, form, withoutEncoding(request), limits);
        return { status, headers: contentTypeOf(rawHeaders), body };
      } catch (error) {
        if (!isEngineGone(error)) throw error;
        return { status: engineGoneStatus, headers: [], body: Buffer.alloc(0) };
      }
    },
  };
}

function signatureOf({ rawHeaders }: ProxyRequest): string {
  return headerValue(rawHeaders, portainerHeaders.signature) ?? '';
}

/** Parts are spliced as they come, so nobody may compress them. */
function withoutEncoding(request: ProxyRequest): ProxyRequest {
  const rawHeaders: string[] = [];
  for (let i = 0; i + 1 < request.rawHeaders.length; i += 2) {
    const name = request.rawHeaders[i] ?? '';
    if (name.toLowerCase() !== 'accept-encoding') rawHeaders.push(name, request.rawHeaders[i + 1] ?? '');
  }
  return { ...request, rawHeaders };
}

/** All that an entry agent reads of a part's headers; the engine's other ones describe an answer that no longer is. */
function contentTypeOf(rawHeaders: readonly string[]): readonly string[] {
  const at = rawHeaders.findIndex((name, index) => index % 2 === 0 && name.toLowerCase() === 'content-type');
  return at === -1 ? [] : rawHeaders.slice(at, at + 2);
}

function deadlineOf(path: string, options: ListsOptions): Pick<FanOutOptions, 'deadlineMs' | 'breaker'> {
  return countsBytes(path)
    ? { deadlineMs: options.slowMemberTimeoutMs, breaker: 'heeded' }
    : { deadlineMs: options.memberTimeoutMs, breaker: 'opened' };
}
