// The whole-cluster Docker API behind the sockets: takes each request to where the route table says that it runs.
// One view of the members serves the whole request. On a cluster of one every request passes to the engine untouched.

import type { ClusterView, Member } from '../../cluster/cluster.ts';
import { toAgentError } from '../../errors.ts';
import { type Answer, answer, dockerError, type Exchange, leaveSignal } from '../../exchange.ts';
import { portainerHeaders } from '../../wire.ts';
import { type Cargo, type Carrier, type CarrierNeeds, createCarrier } from '../carry.ts';
import type { Decision, StreamClass } from '../classify.ts';
import { type DockerTarget, versioned } from '../proxy.ts';
import { matchRoute } from '../routes/match.ts';
import type { MergeKind, RouteMatch, Where } from '../routes/route.ts';
import { headersAlone, isAlone, joiningHole } from './alone.ts';
import type { EndpointCall, Handler } from './call.ts';
import type { CommonHeaders } from './common-headers.ts';
import { type TargetNode, targetNodeOf } from './target-node.ts';
import { versionRefusal } from './version-refusal.ts';
import { spokenRange } from './versions.ts';

/** A request that passed the gate of a socket. */
export interface EndpointRequest {
  readonly exchange: Exchange;
  readonly target: DockerTarget;
}

export interface DockerEndpoint {
  /** Runs a request on the whole cluster. `strict`: a hole in a merged answer becomes 503. */
  serve(request: EndpointRequest & { readonly strict: boolean }): void;
  /** Runs it on that member's engine, whatever it is. */
  toNode(request: EndpointRequest & { readonly member: Member }): void;
}

/** Answers an exchange with a stream made of many. */
export type StreamHandler = (
  call: EndpointCall,
  exchange: Exchange,
  answerHeaders: readonly string[],
) => Promise<void>;

export interface EndpointNeeds extends CarrierNeeds {
  readonly view: () => ClusterView;
  readonly merges: Readonly<Record<Exclude<MergeKind, 'events'>, Handler>>;
  readonly events: StreamHandler;
  readonly prune: Readonly<Record<Extract<Where, { kind: 'prune' }>['what'], Handler>>;
  /** Takes a request to the node that its path, query or body names. */
  readonly routed: (routed: RoutedRequest) => Promise<void>;
  readonly headers: CommonHeaders;
  /** Told once for each request where it goes. */
  readonly observe: (exchange: Exchange, where: Decision['kind'], stream: StreamClass) => void;
}

export interface EndpointOptions {
  /** Whether members obey a client that signed nothing: only in a cluster with a secret (design.md, Trust). */
  readonly membersObey: boolean;
  /** Whether others may join this agent while a stream lasts. */
  readonly mayGrow: () => boolean;
}

/** A request whose node has yet to be found. */
export interface RoutedRequest {
  readonly cargo: Cargo;
  readonly call: EndpointCall;
  readonly match: RouteMatch;
  readonly where: RoutedWhere;
  /** Carries it to that member, or says why not. */
  readonly go: (member: Member, cargo?: Cargo) => void;
  readonly toManager: (cargo?: Cargo) => void;
  readonly reply: (answer: Answer) => void;
  readonly failed: (error: unknown) => void;
}

export type RoutedWhere = Exclude<Where, { kind: 'local' | 'manager' | 'merge' | 'prune' }>;

export function createEndpoint(needs: EndpointNeeds, options: EndpointOptions): DockerEndpoint {
  const carrier = createCarrier(needs);
  return {
    serve(request): void {
      const journey = new Journey(needs, options, carrier, request);
      journey.begin();
    },
    toNode({ exchange, target, member }): void {
      const stream = streamOf(exchange, matchRoute(exchange.req.method ?? '', target.path));
      needs.observe(exchange, member.self ? 'local' : 'node', stream);
      carrier.toMember(cargoOf(exchange, target, stream, []), member);
    },
  };
}

function streamOf(exchange: Exchange, match: RouteMatch | undefined): StreamClass {
  return exchange.kind === 'upgrade' ? 'hijack' : (match?.route.stream ?? 'short');
}

function cargoOf(
  exchange: Exchange,
  target: DockerTarget,
  stream: StreamClass,
  answerHeaders: readonly string[],
): Cargo {
  const { method = '', rawHeaders } = exchange.req;
  return { exchange, request: { method, path: versioned(target), rawHeaders }, stream, answerHeaders };
}

/** One request on its way. */
class Journey {
  readonly #needs: EndpointNeeds;
  readonly #options: EndpointOptions;
  readonly #carrier: Carrier;
  readonly #view: ClusterView;
  readonly #exchange: Exchange;
  readonly #target: DockerTarget;
  readonly #strict: boolean;
  readonly #match: RouteMatch | undefined;
  readonly #cargo: Cargo;
  #observed = false;

  constructor(
    needs: EndpointNeeds,
    options: EndpointOptions,
    carrier: Carrier,
    { exchange, target, strict }: Parameters<DockerEndpoint['serve']>[0],
  ) {
    this.#needs = needs;
    this.#options = options;
    this.#carrier = carrier;
    this.#view = needs.view();
    this.#exchange = exchange;
    this.#target = target;
    this.#strict = strict;
    this.#match = matchRoute(exchange.req.method ?? '', target.path);
    const added = isAlone(this.#view) ? headersAlone(this.#view) : needs.headers.ofEngine(this.#view);
    this.#cargo = cargoOf(exchange, target, streamOf(exchange, this.#match), added);
  }

  begin(): void {
    const wanted = targetNodeOf(steeringValue(this.#exchange), this.#view);
    const hole = this.#strict ? joiningHole(this.#view, this.#match) : undefined;
    if (wanted.kind === 'answer') this.#reply('node', wanted.answer);
    else if (wanted.kind === 'member') this.#go('node', wanted.member);
    else if (hole !== undefined) this.#reply('cluster', hole);
    else if (isAlone(this.#view) && !this.#outgrowsOne()) this.#here();
    else if (this.#match === undefined) this.#unknown();
    else this.#run(this.#match, wanted);
  }

  /** What is not passed on untouched even when alone: a label may name another node, and a stream may see others join. */
  #outgrowsOne(): boolean {
    const where = this.#match?.route.where;
    if (where?.kind === 'create') return true;
    const isStream = where?.kind === 'merge' && where.what === 'events';
    return isStream && this.#options.mayGrow() && !/[?&]until=/.test(this.#target.query);
  }

  #run(match: RouteMatch, wanted: TargetNode): void {
    const { where } = match.route;
    if (wanted.kind === 'all' && where.kind !== 'merge' && where.kind !== 'prune') {
      this.#reply('cluster', dockerError(400, 'flotilla: only lists and prune run on all nodes: name one'));
      return;
    }
    switch (where.kind) {
      case 'local':
        this.#here();
        break;
      case 'manager':
        this.#toManager();
        break;
      case 'merge':
        if (where.what === 'events') this.#stream(match, this.#needs.events);
        else this.#merge(match, this.#needs.merges[where.what]);
        break;
      case 'prune':
        this.#merge(match, this.#needs.prune[where.what]);
        break;
      case 'owner':
      case 'owner-in-query':
      case 'owner-in-body':
      case 'images-in-query':
      case 'create':
        this.#route(match, where);
    }
  }

  /** Once, however often it goes on: an owner that declined it is asked in another way. */
  #observe(where: Decision['kind']): void {
    if (this.#observed) return;
    this.#observed = true;
    this.#needs.observe(this.#exchange, where, this.#cargo.stream);
  }

  #here(): void {
    this.#observe('local');
    this.#carrier.here(this.#cargo);
  }

  /** Nobody here knows the route. What only asks may be the engine's own; what acts is not let through unseen. */
  #unknown(): void {
    const { method = '' } = this.#exchange.req;
    if (method === 'GET' || method === 'HEAD') this.#here();
    else this.#reply('local', dockerError(404, 'page not found'));
  }

  #toManager(cargo = this.#cargo): void {
    this.#observe('manager');
    if (!this.#options.membersObey || this.#view.members.every(({ record }) => record.role === undefined)) {
      // The engine says itself that it is no manager.
      this.#carrier.here(cargo);
    } else this.#carrier.toManager(cargo, this.#view);
  }

  #go(where: Decision['kind'], member: Member, cargo = this.#cargo): void {
    this.#observe(where);
    const { nodeName, minApiVersion: min, apiVersion: max } = member.record;
    // A lone engine has its own words for it, and may be a newer one than when it was last asked.
    const refused = isAlone(this.#view)
      ? undefined
      : versionRefusal(this.#target.version, { min, max }, nodeName);
    if (refused !== undefined) this.#answer(refused);
    else if (member.self || this.#options.membersObey) this.#carrier.toMember(cargo, member);
    else this.#answer(dockerError(503, `flotilla: ${nodeName} obeys only a cluster with a secret`));
  }

  #merge(match: RouteMatch, handler: Handler): void {
    this.#observe('cluster');
    const refused = this.#refusedByAll();
    if (refused === undefined) void this.#guard(async () => this.#answer(await handler(this.#call(match))));
    else this.#answer(refused);
  }

  #stream(match: RouteMatch, handler: StreamHandler): void {
    this.#observe('cluster');
    const refused = this.#refusedByAll();
    if (refused !== undefined) this.#answer(refused);
    else {
      const headers = this.#needs.headers.ofOurs(this.#view);
      void this.#guard(() => handler(this.#call(match), this.#exchange, headers));
    }
  }

  #refusedByAll(): Answer | undefined {
    return versionRefusal(this.#target.version, spokenRange(this.#view), 'the cluster');
  }

  #route(match: RouteMatch, where: RoutedWhere): void {
    void this.#guard(() =>
      this.#needs.routed({
        cargo: this.#cargo,
        call: this.#call(match),
        match,
        where,
        go: (member, cargo) => this.#go('owner', member, cargo),
        toManager: (cargo) => this.#toManager(cargo),
        reply: (given) => this.#reply('owner', given),
        failed: (error) => this.#failed(error),
      }),
    );
  }

  #reply(where: Decision['kind'], given: Answer): void {
    this.#observe(where);
    this.#answer(given);
  }

  #answer(given: Answer): void {
    answer(this.#exchange, {
      ...given,
      headers: [...this.#needs.headers.ofOurs(this.#view), ...given.headers],
    });
  }

  async #guard(run: () => Promise<void>): Promise<void> {
    try {
      await run();
    } catch (error) {
      this.#failed(error);
    }
  }

  #failed(error: unknown): void {
    this.#carrier.failed(this.#cargo, toAgentError(error, 'unavailable', `serve ${this.#target.path}`));
  }

  #call({ params }: RouteMatch): EndpointCall {
    const { method = '', rawHeaders } = this.#exchange.req;
    return {
      method,
      target: this.#target,
      params,
      rawHeaders,
      view: this.#view,
      signal: leaveSignal(this.#exchange),
      strict: this.#strict,
    };
  }
}

/** A header sent twice is joined by Node, and then names no node (attack A-17). */
function steeringValue({ req }: Exchange): string {
  const value = req.headers[portainerHeaders.target];
  return Array.isArray(value) ? value.join(', ') : (value ?? '');
}
