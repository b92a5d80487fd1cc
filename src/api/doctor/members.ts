// Decides what is wrong among the members: who is missing, whose clock, versions or packets differ. Pure.

import type { Member } from '../../cluster/cluster.ts';
import type { PeerMeasure } from '../peer-measure.ts';
import type { DoctorFacts } from './facts.ts';
import { type DoctorCheck, ok, problem, warning } from './report.ts';

/** Beyond it lines of two nodes are shown in the wrong order, and `--since` means something else on each. */
const warnSkewMs = 1_000;
/** Beyond it certificates, tokens and time stamps are refused by others. */
const problemSkewMs = 30_000;

export function checkMembers(facts: DoctorFacts): readonly DoctorCheck[] {
  if (facts.diagnosis.state.kind === 'alone') return [];
  const { addresses } = facts.diagnosis;
  const measures = [...facts.measures].map(([{ record, state }, measure]) => {
    const path = addresses.find(
      ({ address, peerPort }) => address === record.address && peerPort === record.peerPort,
    );
    return { record, state, measure, isPortOpen: path?.peer.kind === 'open' };
  });
  return [
    checkCluster(facts),
    ...facts.view.members.flatMap(checkSuspect),
    ...measures.flatMap(checkAnswer),
    ...checkClocks(measures),
    ...checkPayloads(measures),
    ...checkVersions(facts.view.members),
  ];
}

/** Of the Swarm's nodes and the missing members, those that no other check has named. */
export function checkRest(facts: DoctorFacts, checks: readonly DoctorCheck[]): readonly DoctorCheck[] {
  const named = new Set(checks.filter(({ level }) => level !== 'ok').map(({ subject }) => subject));
  const { members, missing } = facts.view;
  const lost = missing
    .filter(({ nodeName }) => !named.has(nodeName))
    .map(({ nodeName, sinceMs }) =>
      problem(
        'member',
        nodeName,
        `missing: not heard for ${secondsOf(facts.nowMs - sinceMs)}`,
        `is the host up, and does its agent run? Then run flotilla doctor on ${nodeName}`,
      ),
    );
  if (facts.facts.swarm === undefined) return lost;
  if (facts.swarmNodes === undefined) {
    return [
      ...lost,
      ok('swarm', 'this node is no manager: run flotilla doctor on one to compare with its node list'),
    ];
  }
  const ids = new Set(members.flatMap(({ record }) => [record.nodeId, record.nodeName]));
  const without = facts.swarmNodes.filter(
    ({ nodeId, nodeName }) => !ids.has(nodeId) && !ids.has(nodeName) && !named.has(nodeName),
  );
  const silent = without.filter(({ nodeName }) => !missing.some((one) => one.nodeName === nodeName));
  if (silent.length === 0 && lost.length === 0 && named.size === 0) {
    return [ok('swarm', `each of the ${facts.swarmNodes.length} nodes of the Swarm has an agent`)];
  }
  return [...lost, ...silent.map(({ nodeName, state }) => withoutAgent(nodeName, state))];
}

function withoutAgent(nodeName: string, state: string): DoctorCheck {
  const isUp = state === 'ready';
  return problem(
    'swarm',
    nodeName,
    `the Swarm has this node (${state}), but no agent there was ever heard`,
    isUp
      ? `is the agent's service global, and does its task run there? docker service ps <service> --filter node=${nodeName} --no-trunc`
      : `bring the node back (docker node inspect ${nodeName}), or remove it: docker node rm ${nodeName}`,
  );
}

function checkCluster({ view: { state, members, missing } }: DoctorFacts): DoctorCheck {
  const names = members.map(({ record }) => record.nodeName).join(', ');
  if (state === 'joining') {
    return problem(
      'cluster',
      null,
      'joining: no other agent has proved membership yet',
      'the lines below say how far this agent gets to each of the others',
    );
  }
  const lost = missing.length === 0 ? '' : `; missing: ${missing.map(({ nodeName }) => nodeName).join(', ')}`;
  return ok('cluster', `joined: ${names}${lost}`);
}

function checkSuspect({ record, state }: Member): readonly DoctorCheck[] {
  if (state === 'alive') return [];
  return [
    warning(
      'member',
      record.nodeName,
      'suspect: it did not answer the last probes, and is about to be declared missing',
      'is its host overloaded, or its network losing packets? Look again in some seconds',
    ),
  ];
}

interface Measured extends Pick<Member, 'record' | 'state'> {
  readonly measure: PeerMeasure;
  /** Of its peer listener, for TCP. */
  readonly isPortOpen: boolean;
}

/** Members whose peer listener did not answer as it should. */
function checkAnswer({ record, state, measure, isPortOpen }: Measured): readonly DoctorCheck[] {
  const { nodeName, address, peerPort } = record;
  const where = `${address}:${peerPort}`;
  const { connection, clock } = measure;
  if (connection.kind === 'failed') {
    if (connection.code === 'member-untrusted') {
      return [
        problem(
          'member',
          nodeName,
          `${where} shows another certificate than the agent's record: ${connection.reason}`,
          'if it was restarted a moment ago, look again; else something between the nodes answers in its place',
        ),
      ];
    }
    // A closed port has been told by paths.ts, with more detail.
    return connection.code === 'timeout' && isPortOpen ? [checkSilentTls({ record, state }, where)] : [];
  }
  switch (clock?.kind) {
    case 'not-member':
      return [
        problem(
          'member',
          nodeName,
          `${where}: this agent is no member in its eyes, so it refuses requests from here`,
          `gossip passes in one direction only: run flotilla doctor on ${nodeName}`,
        ),
      ];
    case 'unknown-path':
      return [
        warning(
          'versions',
          nodeName,
          `its agent (${record.agentVersion}) is too old to be measured`,
          'run the same version of the agent on all nodes',
        ),
      ];
    case 'failed':
      return [
        problem(
          'member',
          nodeName,
          `${where}: its agent accepts connections, but does not answer requests: ${clock.reason}`,
          `look at the log of the agent on ${nodeName}, and restart it`,
        ),
      ];
    case 'told':
    case undefined:
      return [];
  }
}

/** A member that hangs is a suspect within seconds; one that is alive and opens its port hears only small packets. */
function checkSilentTls({ record, state }: Pick<Member, 'record' | 'state'>, where: string): DoctorCheck {
  const { nodeName } = record;
  if (state === 'alive') {
    return problem(
      'mtu',
      nodeName,
      `${where}: small packets come through, and those of a TLS handshake, of full size, do not: ` +
        'a link on the way has a smaller MTU and drops larger packets in silence',
      mtuRemedy,
    );
  }
  return problem(
    'member',
    nodeName,
    `${where} accepts connections, but no TLS handshake comes about`,
    `the agent of ${nodeName} hangs, or its host is overloaded: look at its log, and restart it`,
  );
}

function checkClocks(measures: readonly Measured[]): readonly DoctorCheck[] {
  const skews = measures.flatMap(({ record, measure: { clock } }) =>
    clock?.kind === 'told' ? [{ name: record.nodeName, skewMs: clock.skewMs }] : [],
  );
  const off = skews.filter(({ skewMs }) => Math.abs(skewMs) >= warnSkewMs);
  const checks = off.map(({ name, skewMs }) => {
    const say = Math.abs(skewMs) >= problemSkewMs ? problem : warning;
    const direction = skewMs > 0 ? 'ahead of' : 'behind';
    return say(
      'clock',
      name,
      `its clock is ${(Math.abs(skewMs) / 1_000).toFixed(1)} s ${direction} this node's`,
      'let all nodes take their time from NTP (timedatectl set-ntp true, chrony)',
    );
  });
  const well = skews.length - off.length;
  if (well === 0) return checks;
  const worst = Math.max(
    ...skews.filter((skew) => !off.includes(skew)).map(({ skewMs }) => Math.abs(skewMs)),
  );
  return [...checks, ok('clock', `${membersOf(well)} within ${Math.ceil(worst)} ms of this node`)];
}

function checkPayloads(measures: readonly Measured[]): readonly DoctorCheck[] {
  const measured = measures.filter(({ measure }) => measure.payloads.length > 0);
  const bad = measured.filter(({ measure }) => measure.payloads.some(({ fault }) => fault !== undefined));
  const checks = bad.map(({ record, measure }) => checkMtu(record.nodeName, measure.payloads));
  const well = measured.length - bad.length;
  if (well === 0) return checks;
  const sizes = measured.find((one) => !bad.includes(one))?.measure.payloads.map(({ bytes }) => bytes) ?? [];
  return [...checks, ok('mtu', `${sizes.join(' and ')} bytes to and from ${membersOf(well)} came through`)];
}

function checkMtu(nodeName: string, payloads: PeerMeasure['payloads']): DoctorCheck {
  const passed = payloads.filter(({ fault }) => fault === undefined).map(({ bytes }) => bytes);
  const failed = payloads.find(({ fault }) => fault !== undefined);
  return problem(
    'mtu',
    nodeName,
    `${['small packets', ...passed.map((bytes) => `${bytes} bytes`)].join(' and ')} come through, ` +
      `${failed?.bytes} bytes do not (${failed?.fault}): a link on the way has a smaller MTU and drops larger packets in silence`,
    mtuRemedy,
  );
}

const mtuRemedy =
  "lower the MTU of the agents' network (docker network create --opt com.docker.network.driver.mtu=1300 …) or of the host's " +
  'interface, let ICMP "fragmentation needed" pass the firewalls, or advertise host addresses instead of the overlay (FLOTILLA_ADVERTISE_ADDR)';

function checkVersions(members: readonly Member[]): readonly DoctorCheck[] {
  const records = members.map(({ record }) => record);
  const low = records.toSorted((a, b) => compareApi(b.minApiVersion, a.minApiVersion))[0];
  const high = records.toSorted((a, b) => compareApi(a.apiVersion, b.apiVersion))[0];
  if (low === undefined || high === undefined) return [];
  const agents = new Set(records.map(({ agentVersion }) => agentVersion));
  const checks =
    compareApi(low.minApiVersion, high.apiVersion) > 0
      ? problem(
          'versions',
          high.nodeName,
          `${low.nodeName} needs API ${low.minApiVersion} or newer, ${high.nodeName} speaks ${high.apiVersion} at most: no client version suits both`,
          `update the engine of ${high.nodeName} (${high.engineVersion}), or allow older clients on ${low.nodeName} (DOCKER_MIN_API_VERSION of dockerd)`,
        )
      : ok('versions', `all engines share API ${low.minApiVersion} to ${high.apiVersion}`);
  if (agents.size <= 1) return [checks];
  const each = records.map(({ nodeName, agentVersion }) => `${nodeName} ${agentVersion}`).join(', ');
  return [
    checks,
    warning('versions', null, `agents of different versions: ${each}`, 'run the same version on all nodes'),
  ];
}

/** `1.9` is older than `1.41`. */
function compareApi(a: string, b: string): number {
  const [aParts, bParts] = [a.split('.').map(Number), b.split('.').map(Number)];
  return (aParts[0] ?? 0) - (bParts[0] ?? 0) || (aParts[1] ?? 0) - (bParts[1] ?? 0);
}

function membersOf(count: number): string {
  return count === 1 ? '1 member' : `${count} members`;
}

function secondsOf(ms: number): string {
  return `${Math.max(0, Math.round(ms / 1_000))} s`;
}
