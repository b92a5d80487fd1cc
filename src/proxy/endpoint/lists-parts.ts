// Scans the answers to a list question. What is no list of its kind is no part, so that one broken answer is missing and
// cannot break the merged one. Pure.

import type { Member } from '../../cluster/cluster.ts';
import type { ListKind } from '../classify.ts';
import type { NodeOutcome } from '../fan-out.ts';
import { isJson } from '../merge.ts';
import type { FetchedPart } from '../proxy.ts';
import { type ScannedVolumes, scanItems, scanVolumes } from '../scan-items.ts';
import { networkNames, orderedNames, volumeNames } from './lists-merge.ts';

/** What a member listed; only volumes come with warnings. */
export interface ScannedPart extends ScannedVolumes {
  readonly member: Member;
}

export function scanParts(
  kind: ListKind,
  outcomes: readonly NodeOutcome[],
): ReadonlyMap<FetchedPart, ScannedVolumes> {
  const scanned = new Map<FetchedPart, ScannedVolumes>();
  for (const { outcome } of outcomes) {
    if (outcome.kind !== 'answer' || outcome.part.status !== 200 || !isJson(outcome.part.rawHeaders))
      continue;
    const found = scan(kind, outcome.part.body);
    if (found !== undefined) scanned.set(outcome.part, found);
  }
  return scanned;
}

function scan(kind: ListKind, body: Buffer): ScannedVolumes | undefined {
  try {
    if (kind === 'volumes') return scanVolumes(body, volumeNames);
    return { items: scanItems(body, kind === 'networks' ? networkNames : orderedNames), warnings: [] };
  } catch {
    // Settled as `bad-answer`.
    return undefined;
  }
}
