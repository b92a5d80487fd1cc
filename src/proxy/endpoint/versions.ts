// API versions on a cluster of unlike engines (engine-api.md 3): the range that all share, and what each is asked in.
// Pure. A version is text such as `1.41`, as engines write it.

import type { ClusterView, Member } from '../../cluster/cluster.ts';
import { managersOf } from '../carry.ts';

export interface VersionRange {
  readonly min: string;
  readonly max: string;
}

/** What all members speak; undefined where their ranges do not meet. Found once for a view, which never changes. */
export function commonRange(view: ClusterView): VersionRange | undefined {
  if (!ranges.has(view)) ranges.set(view, findCommonRange(view));
  return ranges.get(view);
}

const ranges = new WeakMap<ClusterView, VersionRange | undefined>();

function findCommonRange({ members }: ClusterView): VersionRange | undefined {
  const [min = ''] = members
    .map(({ record }) => record.minApiVersion)
    .toSorted((a, b) => compareVersions(b, a));
  const [max = ''] = members.map(({ record }) => record.apiVersion).toSorted(compareVersions);
  return compareVersions(min, max) <= 0 ? { min, max } : undefined;
}

/** What the cluster says of itself: the common range, or that of the preferred manager where there is none. */
export function advertisedRange(view: ClusterView): VersionRange {
  const common = commonRange(view);
  if (common !== undefined) return common;
  const [speaker = view.self] = managersOf(view);
  return { min: speaker.record.minApiVersion, max: speaker.record.apiVersion };
}

/** From the oldest to the newest that any member speaks: what lies outside nobody can answer. */
export function spokenRange({ members }: ClusterView): VersionRange {
  const [min = ''] = members.map(({ record }) => record.minApiVersion).toSorted(compareVersions);
  const max =
    members
      .map(({ record }) => record.apiVersion)
      .toSorted(compareVersions)
      .at(-1) ?? '';
  return { min, max };
}

/**
 * The version to ask a member in when the answers of all are merged: the client's own, or the nearest that the member
 * speaks. So an older node that joins takes nothing from clients that have chosen their version already. A client that
 * names none is answered in the highest that all share, so that all parts have one shape.
 */
export function mergeVersion(
  view: ClusterView,
  member: Member,
  asked: string | undefined,
): string | undefined {
  const { minApiVersion: min, apiVersion: max } = member.record;
  const wanted = asked ?? commonRange(view)?.max;
  if (wanted === undefined || (asked === undefined && wanted === max)) return undefined;
  if (compareVersions(wanted, min) < 0) return min;
  return compareVersions(wanted, max) > 0 ? max : wanted;
}

/** Negative when `a` is the older one. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [a.split('.').map(Number), b.split('.').map(Number)];
  return (left[0] ?? 0) - (right[0] ?? 0) || (left[1] ?? 0) - (right[1] ?? 0);
}
