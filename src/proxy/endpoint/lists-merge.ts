// Makes one list of the scanned parts of many nodes: in order, cut, and each shared thing once. Pure. Items stay the
// bytes that their nodes sent.

import type { Member } from '../../cluster/cluster.ts';
import type { ScannedItem } from '../scan-items.ts';

/** What a member listed. */
export interface ListPart {
  readonly member: Member;
  readonly items: readonly ScannedItem[];
}

/** A container or image that a list is to begin behind, or end before. */
export interface Mark {
  /** Who has it: their engines have applied the filter themselves, to the nanosecond. */
  readonly members: readonly Member[];
  readonly id: string;
  /** What those engines call it. */
  readonly name: string;
  readonly createdMs: number;
}

export interface OrderedOptions {
  /** Zero for all. */
  readonly limit: number;
  /** Only what is older, or newer, than these. */
  readonly before?: Mark | undefined;
  readonly since?: Mark | undefined;
}

/** Members to scan for `mergeOrdered`. */
export const orderedNames: readonly string[] = ['Created', 'Id'];

/** Newest first, then by id, as far as the limit goes. */
export function mergeOrdered(parts: readonly ListPart[], options: OrderedOptions): readonly Buffer[] {
  const { limit, before, since } = options;
  const rows = parts.flatMap(({ member, items }) =>
    items.map((item): Row => ({ member, bytes: item.bytes, created: createdOf(item), id: idOf(item) })),
  );
  const kept = rows.filter(
    (row) =>
      (before === undefined || hasMark(row.member, before) || compareRows(row, rowOf(before)) > 0) &&
      (since === undefined || hasMark(row.member, since) || compareRows(row, rowOf(since)) < 0),
  );
  const ordered = kept.sort(compareRows);
  return (limit > 0 ? ordered.slice(0, limit) : ordered).map(({ bytes }) => bytes);
}

interface Row {
  readonly member: Member;
  readonly bytes: Buffer;
  /** Seconds: engines list no more than that. */
  readonly created: number;
  readonly id: string;
}

export function hasMark({ record }: Member, { members }: Mark): boolean {
  return members.some((member) => member.record.engineId === record.engineId);
}

/** Negative when `a` comes first. */
function compareRows(a: Pick<Row, 'created' | 'id'>, b: Pick<Row, 'created' | 'id'>): number {
  return b.created - a.created || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}

function rowOf({ id, createdMs }: Mark): Pick<Row, 'created' | 'id'> {
  return { created: Math.floor(createdMs / 1_000), id: JSON.stringify(id) };
}

function createdOf({ values: [created = ''] }: ScannedItem): number {
  const seconds = Number(created);
  return Number.isFinite(seconds) ? seconds : 0;
}

/** As JSON text: only compared with others. */
function idOf({ values: [, id = ''] }: ScannedItem): string {
  return id;
}

/** Members to scan for `mergeNetworks` and `mergeVolumes`. */
export const networkNames: readonly string[] = ['Scope', 'Id'];
export const volumeNames: readonly string[] = ['Scope', 'Driver', 'Name', 'ClusterVolume'];

/** The parts one behind the other, networks of the swarm once, as the best informed node has them. */
export function mergeNetworks(parts: readonly ListPart[]): readonly Buffer[] {
  return mergeShared(parts, ({ values: [scope = '', id = ''] }) => (isShared(scope) ? id : undefined));
}

/** The same for volumes: those that all nodes see, by driver and name, and those of the cluster by their id. */
export function mergeVolumes(parts: readonly ListPart[]): readonly Buffer[] {
  return mergeShared(parts, ({ values: [scope = '', driver = '', name = '', clusterVolume = ''] }) => {
    if (!isShared(scope)) return undefined;
    return clusterIdOf(clusterVolume) ?? `${driver} ${name}`;
  });
}

/** Warnings of all nodes, each saying whose it is. */
export function mergeWarnings(
  parts: readonly { readonly member: Member; readonly warnings: readonly string[] }[],
): readonly string[] {
  return parts.flatMap(({ member, warnings }) =>
    warnings.map((text) => `${member.record.nodeName}: ${text}`),
  );
}

/** `identify` gives what is the same on all nodes that have it, and undefined for what belongs to one. */
function mergeShared(
  parts: readonly ListPart[],
  identify: (item: ScannedItem) => string | undefined,
): readonly Buffer[] {
  const rows = parts.flatMap(({ member, items }) =>
    items.map((item): SharedRow => ({ bytes: item.bytes, rank: rankOf(member), identity: identify(item) })),
  );
  const best = new Map<string, SharedRow>();
  for (const row of rows) {
    const known = row.identity === undefined ? undefined : best.get(row.identity);
    if (row.identity !== undefined && (known === undefined || row.rank < known.rank))
      best.set(row.identity, row);
  }
  const written = new Set<string>();
  return rows.flatMap(({ bytes, identity }): Buffer[] => {
    if (identity === undefined) return [bytes];
    if (written.has(identity)) return [];
    written.add(identity);
    return [best.get(identity)?.bytes ?? bytes];
  });
}

interface SharedRow {
  readonly bytes: Buffer;
  readonly rank: number;
  readonly identity: string | undefined;
}

/** Who knows best of what the whole swarm shares: the leader, other managers, then workers, who know what they run. */
function rankOf({ record, state }: Member): number {
  if (record.role !== 'manager') return 3;
  if (state === 'suspect') return 2;
  return record.leader ? 0 : 1;
}

function isShared(scope: string): boolean {
  return scope === '"swarm"' || scope === '"global"';
}

function clusterIdOf(text: string): string | undefined {
  if (text === '' || text === 'null') return undefined;
  try {
    const value: unknown = JSON.parse(text);
    const id = typeof value === 'object' && value !== null && 'ID' in value ? value.ID : undefined;
    return typeof id === 'string' && id !== '' ? id : undefined;
  } catch {
    // The scanner checks brackets only. What has no id is known by its name.
    return undefined;
  }
}
