// Reads the query of an events request, and writes the one that an engine is asked with. Pure.
// What we do not understand is passed on untouched: the engine has the word on it.

import { forwardQuery, parseListQuery } from '../endpoint/filters.ts';
import { firstValue, parseQuery } from '../query.ts';

export interface EventsQuery {
  /** As the client wrote it, without the filter `node`: with the question mark, or empty. */
  readonly passed: string;
  /** Nanoseconds of the Unix time; undefined where there is none. */
  readonly sinceNs: bigint | undefined;
  readonly untilNs: bigint | undefined;
  /** Whether an engine begins with what it remembers: `until` alone does that, too. */
  readonly hasHistory: boolean;
  /** Values of the filter `node`; undefined where it is not used. */
  readonly nodes: ReadonlySet<string> | undefined;
}

export function parseEventsQuery(query: string): EventsQuery {
  const list = parseListQuery(query);
  const pairs = parseQuery(query) ?? [];
  const sinceNs = parseTime(firstValue(pairs, 'since'));
  const untilNs = parseTime(firstValue(pairs, 'until'));
  const hasHistory = sinceNs !== undefined || untilNs !== undefined;
  return { passed: forwardQuery(list), sinceNs, untilNs, hasHistory, nodes: list.nodes };
}

/** The query with its question mark, or empty; `sinceNs` takes the place of the client's own. */
export function toEngineQuery({ passed }: EventsQuery, sinceNs: bigint | undefined): string {
  if (sinceNs === undefined) return passed;
  const pairs = parseQuery(passed) ?? [];
  const raws = pairs.filter(({ name }) => name !== 'since').map(({ raw }) => raw);
  return `?${[...raws, `since=${formatTime(sinceNs)}`].join('&')}`;
}

/** Seconds with up to nine decimals, which is all that engines take: clients turn everything else into that. */
function parseTime(text: string): bigint | undefined {
  const match = /^(-?\d{1,15})(?:\.(\d{1,9}))?$/.exec(text);
  if (match === null) return undefined;
  const [, seconds = '', decimals = ''] = match;
  return BigInt(seconds) * nsPerSecond + BigInt(decimals.padEnd(9, '0'));
}

function formatTime(ns: bigint): string {
  const from = ns < 0n ? 0n : ns;
  return `${from / nsPerSecond}.${String(from % nsPerSecond).padStart(9, '0')}`;
}

const nsPerSecond = 1_000_000_000n;
