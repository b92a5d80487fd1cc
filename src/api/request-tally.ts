// Counts the requests that ended, and sorts their durations into buckets, in plain numbers: prom-client builds and
// hashes an object of labels for every single one, and this is the hot path. It reads them at each scrape.

import type { Metric, Registry } from 'prom-client';
import type { RouteClass } from './metrics.ts';

export interface RequestTally {
  ended(route: RouteClass, status: number, seconds: number): void;
}

/** Upper bounds of the buckets, seconds. */
const bounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 2.5, 10, 60];

interface RouteTally {
  /** By status; the place 0 is for numbers that are none. */
  readonly statuses: Float64Array;
  /** How many ended within each bound and above the one before; the last place is for those beyond all. */
  readonly buckets: Float64Array;
  sum: number;
}

export function createRequestTally(registry: Registry): RequestTally {
  const routes = new Map<RouteClass, RouteTally>();
  register(registry, {
    name: 'flotilla_requests_total',
    help: 'Requests that ended, by where they went and the status of the answer',
    type: 'counter',
    values: () => [...routes].flatMap(([route, tally]) => counterValues(route, tally)),
  });
  register(registry, {
    name: 'flotilla_request_seconds',
    help: 'From the end of a request’s headers to the end of its answer; streams are long by nature',
    type: 'histogram',
    values: () => [...routes].flatMap(([route, tally]) => histogramValues(route, tally)),
  });
  return {
    ended(route, status, seconds): void {
      let tally = routes.get(route);
      if (tally === undefined) {
        tally = { statuses: new Float64Array(600), buckets: new Float64Array(bounds.length + 1), sum: 0 };
        routes.set(route, tally);
      }
      const place = status >= 100 && status < 600 && Number.isInteger(status) ? status : 0;
      tally.statuses[place] = (tally.statuses[place] ?? 0) + 1;
      const bucket = bucketOf(seconds);
      tally.buckets[bucket] = (tally.buckets[bucket] ?? 0) + 1;
      tally.sum += seconds;
    },
  };
}

function bucketOf(seconds: number): number {
  let at = 0;
  while (at < bounds.length && seconds > (bounds[at] ?? 0)) at += 1;
  return at;
}

interface Value {
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
  readonly metricName?: string;
}

function counterValues(route: RouteClass, { statuses }: RouteTally): Value[] {
  const found: Value[] = [];
  statuses.forEach((value, status) => {
    // An engine may answer any number; only statuses that exist become a series.
    if (value > 0) found.push({ labels: { route, status: status === 0 ? 'none' : String(status) }, value });
  });
  return found;
}

function histogramValues(route: RouteClass, { buckets, sum }: RouteTally): Value[] {
  const metricName = 'flotilla_request_seconds';
  let count = 0;
  const cumulative = Array.from(buckets, (inBucket, at) => {
    count += inBucket;
    return { labels: { le: bounds[at] ?? '+Inf', route }, value: count, metricName: `${metricName}_bucket` };
  });
  return [
    ...cumulative,
    { labels: { route }, value: sum, metricName: `${metricName}_sum` },
    { labels: { route }, value: count, metricName: `${metricName}_count` },
  ];
}

interface OwnMetric {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'histogram';
  readonly values: () => readonly Value[];
}

/** prom-client asks a metric for its name and its values and for nothing else; the typings want one of its classes. */
function register(registry: Registry, { name, help, type, values }: OwnMetric): void {
  const get = (): Promise<unknown> =>
    Promise.resolve({ name, help, type, values: values(), aggregator: 'sum' });
  registry.registerMetric({ name, get } as unknown as Metric);
}
