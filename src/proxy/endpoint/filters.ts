// Reads the query of a list, and rewrites its `filters` for the engines where they mean something else on a cluster:
// `node` is ours, `before` and `since` name a container of one node. Pure. What an engine would refuse is never touched,
// so that its own refusal is the answer.

import { firstValue, parseQuery, type QueryPair } from '../query.ts';

export interface ListQuery {
  /** As it came: with the question mark, or empty. */
  readonly query: string;
  /** Node names of the filter `node`, any of which will do; undefined without one. */
  readonly nodes: ReadonlySet<string> | undefined;
  /** Names or ids of containers; the last of several. */
  readonly before: string | undefined;
  readonly since: string | undefined;
  /** Zero for none. */
  readonly limit: number;
  /** The rest of it, for `forwardQuery`; undefined for a query that an engine refuses. */
  readonly parsed: ParsedQuery | undefined;
}

/** What to leave out or to change of a query; what is not named stays byte for byte, but for `node`. */
export interface QueryChange {
  /** Undefined to leave the filter out. */
  readonly before?: string | undefined;
  readonly since?: string | undefined;
  /** Asks for all that a limit would have chosen from. */
  readonly limit?: 'lifted';
}

interface ParsedQuery {
  readonly pairs: readonly QueryPair[];
  readonly filters: Filters;
}

/** Both forms that engines read: `{"a":{"b":true}}`, and `{"a":["b"]}` as before API 1.22. */
type Filters =
  | { readonly form: 'map'; readonly values: Readonly<Record<string, Readonly<Record<string, boolean>>>> }
  | { readonly form: 'list'; readonly values: Readonly<Record<string, readonly string[]>> };

export function parseListQuery(query: string): ListQuery {
  const pairs = parseQuery(query);
  const filters = pairs === undefined ? undefined : parseFilters(firstValue(pairs, 'filters'));
  const limit = pairs === undefined ? undefined : parseLimit(firstValue(pairs, 'limit'));
  if (pairs === undefined || filters === undefined || limit === undefined) {
    return { query, nodes: undefined, before: undefined, since: undefined, limit: 0, parsed: undefined };
  }
  const nodes = valuesOf(filters, 'node');
  return {
    query,
    nodes: nodes === undefined || nodes.length === 0 ? undefined : new Set(chosenOf(filters, 'node')),
    before: valuesOf(filters, 'before')?.at(-1),
    since: valuesOf(filters, 'since')?.at(-1),
    limit,
    parsed: { pairs, filters },
  };
}

/** All values of a filter that an engine would read. */
export function filterValues({ parsed }: ListQuery, name: string): readonly string[] {
  return parsed === undefined ? [] : (valuesOf(parsed.filters, name) ?? []);
}

/** The query to send to an engine. */
export function forwardQuery({ query, limit, parsed }: ListQuery, change: QueryChange = {}): string {
  if (parsed === undefined) return query;
  const { pairs } = parsed;
  let { filters } = parsed;
  if (valuesOf(filters, 'node') !== undefined) filters = withFilter(filters, 'node', undefined);
  if ('before' in change) filters = withFilter(filters, 'before', change.before);
  if ('since' in change) filters = withFilter(filters, 'since', change.since);
  const lifted = change.limit === 'lifted' && limit > 0;
  if (filters === parsed.filters && !lifted) return query;

  let sent = false;
  const written = pairs.flatMap(({ raw, name }): string[] => {
    if (lifted && (name === 'limit' || name === 'all')) return [];
    if (name !== 'filters' || filters === parsed.filters) return [raw];
    if (sent) return [];
    sent = true;
    return [`filters=${encodeURIComponent(JSON.stringify(filters.values))}`];
  });
  // A limit shows containers that do not run, too.
  if (lifted) written.push('all=1');
  return written.length === 0 ? '' : `?${written.join('&')}`;
}

function parseFilters(text: string): Filters | undefined {
  if (text === '') return { form: 'map', values: {} };
  try {
    const parsed: unknown = JSON.parse(text);
    if (parsed === null) return { form: 'map', values: {} };
    if (typeof parsed !== 'object' || Array.isArray(parsed)) return undefined;
    const values = Object.entries(parsed);
    if (values.every(isMapEntry)) return { form: 'map', values: Object.fromEntries(values) };
    return values.every(isListEntry) ? { form: 'list', values: Object.fromEntries(values) } : undefined;
  } catch {
    // No JSON: the engine says so in its own words.
    return undefined;
  }
}

function isMapEntry(entry: [string, unknown]): entry is [string, Record<string, boolean>] {
  const [, values] = entry;
  return (
    typeof values === 'object' &&
    values !== null &&
    !Array.isArray(values) &&
    Object.values(values).every((value) => typeof value === 'boolean')
  );
}

function isListEntry(entry: [string, unknown]): entry is [string, string[]] {
  const [, values] = entry;
  return Array.isArray(values) && values.every((value) => typeof value === 'string');
}

/** Go's Atoi; negative means none, as zero does. Undefined for what it refuses. */
function parseLimit(text: string): number | undefined {
  if (text === '') return 0;
  return /^[+-]?\d{1,18}$/.test(text) ? Math.max(0, Number(text)) : undefined;
}

function valuesOf(filters: Filters, name: string): readonly string[] | undefined {
  if (!Object.hasOwn(filters.values, name)) return undefined;
  const values = filters.values[name] ?? [];
  return filters.form === 'map' ? Object.keys(values) : (values as readonly string[]); // by the form
}

/** Without those that the map form names as false: they match nothing, yet there is a filter. */
function chosenOf(filters: Filters, name: string): readonly string[] {
  if (filters.form === 'list') return filters.values[name] ?? [];
  return Object.entries(filters.values[name] ?? {}).flatMap(([value, chosen]) => (chosen ? [value] : []));
}

/** With that one value, or without the filter. */
function withFilter(filters: Filters, name: string, value: string | undefined): Filters {
  const others = <T>(values: Readonly<Record<string, T>>): [string, T][] =>
    Object.entries(values).filter(([key]) => key !== name);
  if (filters.form === 'list') {
    const added: [string, string[]][] = value === undefined ? [] : [[name, [value]]];
    return { form: 'list', values: Object.fromEntries([...others(filters.values), ...added]) };
  }
  const added: [string, Record<string, boolean>][] = value === undefined ? [] : [[name, { [value]: true }]];
  return { form: 'map', values: Object.fromEntries([...others(filters.values), ...added]) };
}
