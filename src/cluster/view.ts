// Builds the view that the rest of the agent reads from what the detector knows, and tells whether it changed.
// Pure. Live members are ordered by node name, then engine id; nobody is both a member and missing.

import type { ClusterView, Member, MemberRecord, MissingMember } from './cluster.ts';
import { compareText, type Entry, isLive } from './membership.ts';

export interface ViewFacts {
  readonly self: MemberRecord;
  readonly joined: boolean;
  readonly entries: readonly Entry[];
  readonly rttMs: (peerId: string) => number | undefined;
}

export function toView(facts: ViewFacts): ClusterView {
  const self: Member = { record: facts.self, self: true, state: 'alive', rttMs: undefined };
  const others = facts.entries.filter(
    (entry) => isLive(entry) && entry.signed.record.engineId !== facts.self.engineId,
  );
  const members = [self, ...others.map((entry) => toMember(entry, facts))].sort(byName);
  const named = Map.groupBy(members, ({ record }) => record.nodeName);
  const isHereAnew = (dead: Entry): boolean =>
    named.get(dead.signed.record.nodeName)?.some(({ record }) => isSetUpAnew(dead, record)) === true;
  const missing = facts.entries.filter((entry) => entry.state === 'dead' && !isHereAnew(entry));
  return {
    state: facts.joined ? 'joined' : 'joining',
    self,
    members,
    missing: missing.map(toMissing).sort((a, b) => compareText(a.nodeName, b.nodeName)),
  };
}

/** The view of an agent that has no cluster: itself. */
export function toLoneView(self: MemberRecord, state: ClusterView['state']): ClusterView {
  return toView({ self, joined: state === 'joined', entries: [], rttMs: () => undefined });
}

/** For the log: who is here and who is missing, without doubts that pass. */
export function summarize(view: ClusterView): string {
  const members = view.members.map((member) => member.record.nodeName).join(', ');
  const missing = view.missing.map((member) => member.nodeName).join(', ');
  return `${view.state}: ${members}${missing === '' ? '' : `; missing: ${missing}`}`;
}

/** Whether two views differ in nothing that a reader acts on. Round trip times change all the time and do not count. */
export function isSameView(a: ClusterView, b: ClusterView): boolean {
  return (
    a.state === b.state &&
    a.members.length === b.members.length &&
    a.missing.length === b.missing.length &&
    a.members.every((member, index) => isSameMember(member, b.members[index])) &&
    a.missing.every(({ engineId, sinceMs }, index) => {
      const other = b.missing[index];
      return engineId === other?.engineId && sinceMs === other.sinceMs;
    })
  );
}

/**
 * A node that was set up anew has a new engine id under the old name: it is here, not missing. Another host of the same
 * name that was there all the time is not that node.
 */
function isSetUpAnew(dead: Entry, live: MemberRecord): boolean {
  const { nodeId, address } = dead.signed.record;
  return live.generation > dead.sinceWallMs || live.nodeId === nodeId || live.address === address;
}

function isSameMember(a: Member, b: Member | undefined): boolean {
  if (b === undefined || a.self !== b.self || a.state !== b.state) return false;
  return a.record === b.record || JSON.stringify(a.record) === JSON.stringify(b.record);
}

function toMember(entry: Entry, facts: ViewFacts): Member {
  const { record } = entry.signed;
  const state = entry.state === 'suspect' ? 'suspect' : 'alive';
  return { record, self: false, state, rttMs: facts.rttMs(record.peerId) };
}

function toMissing(entry: Entry): MissingMember {
  const { record } = entry.signed;
  const { nodeName, engineId } = record;
  return { nodeName, engineId, reason: 'dead', sinceMs: entry.sinceWallMs, record };
}

function byName(a: Member, b: Member): number {
  return (
    compareText(a.record.nodeName, b.record.nodeName) || compareText(a.record.engineId, b.record.engineId)
  );
}
