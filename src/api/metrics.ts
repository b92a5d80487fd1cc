// What the agent counts, and the text that Prometheus reads. The proxy is handed the narrow Metrics below.
// Labels come from closed sets, so no client can make the number of series grow.

import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { ClusterView } from '../cluster/cluster.ts';
import type { EngineHealth } from '../docker/docker.ts';
import { createRequestTally } from './request-tally.ts';

/** Where a request went; the label `route`. */
export type RouteClass = 'own' | 'local' | 'node' | 'manager' | 'cluster' | 'owner' | 'refused';

/** How a member's part of a merged list ended; the label `outcome`. Members that are not asked are gauges below. */
export type PartOutcome = 'answer' | 'timeout' | 'too-large' | 'untrusted' | 'unreachable' | 'failed';

/** What the request path reports. Every call is cheap and none throws. */
export interface Metrics {
  requestEnded(route: RouteClass, status: number, seconds: number): void;
  memberPartEnded(outcome: PartOutcome, seconds: number): void;
  /** Returns the call that says it ended. */
  streamOpened(kind: 'endless' | 'hijack'): () => void;
  engineFailed(): void;
}

export interface MetricsNeeds {
  /** Read at each scrape; undefined before there is one. */
  readonly view: () => ClusterView | undefined;
  readonly engine: () => EngineHealth;
  /** Members that are not asked at present, because they failed a moment ago. */
  readonly openBreakers: () => number;
}

export interface MetricsOptions {
  readonly agentVersion: string;
}

export interface MetricsText {
  readonly contentType: string;
  text(): Promise<string>;
}

const partSeconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 60];

export function createMetrics(needs: MetricsNeeds, { agentVersion }: MetricsOptions): Metrics & MetricsText {
  const registry = new Registry();
  const registers = [registry];
  const requests = createRequestTally(registry);
  const parts = new Histogram({
    name: 'flotilla_member_part_seconds',
    help: 'How long members took for their part of a merged list, by how it ended',
    labelNames: ['outcome'],
    buckets: partSeconds,
    registers,
  });
  const streams = new Gauge({
    name: 'flotilla_streams_open',
    help: 'Streams and hijacked connections in progress',
    labelNames: ['kind'],
    registers,
  });
  const engineErrors = new Counter({
    name: 'flotilla_engine_errors_total',
    help: 'Requests that the local engine did not answer',
    registers,
  });
  addStateGauges(registry, needs);
  addProcessMetrics(registry, agentVersion);

  return {
    requestEnded: requests.ended,
    memberPartEnded: (outcome, seconds) => parts.observe({ outcome }, seconds),
    streamOpened: (kind) => {
      streams.inc({ kind });
      let open = true;
      return () => {
        if (open) streams.dec({ kind });
        open = false;
      };
    },
    engineFailed: () => engineErrors.inc(),
    contentType: registry.contentType,
    text: () => registry.metrics(),
  };
}

/** Read from their owners at each scrape, so that no second copy of the state can go wrong. */
function addStateGauges(registry: Registry, { view, engine, openBreakers }: MetricsNeeds): void {
  const registers = [registry];
  const members: Gauge = new Gauge({
    name: 'flotilla_members',
    help: 'Members of the cluster as this agent sees it, itself included; missing ones were here and are not',
    labelNames: ['state'],
    registers,
    collect: () => {
      const now = view();
      const inState = (state: string): number =>
        now?.members.filter((member) => member.state === state).length ?? 0;
      members.set({ state: 'alive' }, inState('alive'));
      members.set({ state: 'suspect' }, inState('suspect'));
      members.set({ state: 'missing' }, now?.missing.length ?? 0);
    },
  });
  const joined: Gauge = new Gauge({
    name: 'flotilla_cluster_joined',
    help: '1 once the agent has joined, or found that it is alone',
    registers,
    collect: () => joined.set(view()?.state === 'joined' ? 1 : 0),
  });
  const reachable: Gauge = new Gauge({
    name: 'flotilla_engine_reachable',
    help: '1 when the local engine answered the last question',
    registers,
    collect: () => reachable.set(engine().kind === 'reachable' ? 1 : 0),
  });
  const breakers: Gauge = new Gauge({
    name: 'flotilla_breakers_open',
    help: 'Members that are not asked at present, because they failed a moment ago',
    registers,
    collect: () => breakers.set(openBreakers()),
  });
}

/** The few that are free to read; the library's own set measures the event loop and every collection all the time. */
function addProcessMetrics(registry: Registry, version: string): void {
  const registers = [registry];
  const build = new Gauge({
    name: 'flotilla_build_info',
    help: 'Version of the agent',
    labelNames: ['version'],
    registers,
  });
  build.set({ version }, 1);
  const started = new Gauge({
    name: 'process_start_time_seconds',
    help: 'Wall clock of the start',
    registers,
  });
  started.set(Math.round(performance.timeOrigin / 1_000));
  const cpu: Gauge = new Gauge({
    name: 'process_cpu_seconds_total',
    help: 'User and system time',
    registers,
    collect: () => {
      const { user, system } = process.cpuUsage();
      cpu.set((user + system) / 1e6);
    },
  });
  const resident: Gauge = new Gauge({
    name: 'process_resident_memory_bytes',
    help: 'Resident memory',
    registers,
    collect: () => resident.set(process.memoryUsage.rss()),
  });
}
