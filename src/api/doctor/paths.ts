// Decides what stands between this agent and those that are no members (yet): discovery, ports, secrets. Pure.
// A refusal, silence and a failed handshake have different remedies, so they are never called by the same words.

import type { AddressDiagnosis, Knock, SourceDiagnosis } from '../../cluster/cluster.ts';
import type { SwarmNode } from '../../docker/docker.ts';
import { addressKey, type DoctorFacts } from './facts.ts';
import { type DoctorCheck, ok, problem, warning } from './report.ts';

export function checkPaths(facts: DoctorFacts): readonly DoctorCheck[] {
  if (facts.diagnosis.state.kind !== 'running') return [];
  return [
    ...checkSources(facts),
    ...facts.diagnosis.addresses.flatMap((address) =>
      address.member === 'live' ? checkLivePorts(address, facts) : [checkAddress(address, facts)],
    ),
  ];
}

function checkSources(facts: DoctorFacts): readonly DoctorCheck[] {
  const { sources } = facts.diagnosis;
  if (sources.length > 0) return sources.map((source) => checkSource(source, facts));
  return [
    problem(
      'discovery',
      null,
      'nothing tells this agent where the others are: it is no task of a Swarm service, and has no seeds',
      'set FLOTILLA_SEEDS, or AGENT_CLUSTER_ADDR to a name that resolves to all agents',
    ),
  ];
}

function checkSource(
  { source, addresses, own, proved, fault }: SourceDiagnosis,
  facts: DoctorFacts,
): DoctorCheck {
  const isFormed = facts.view.members.length > 1;
  if (fault !== undefined) {
    const say = isFormed ? warning : problem;
    return say('discovery', null, `${source}: ${fault}`, remedyOfSource(source));
  }
  const others = addresses.length - own;
  if (others === 0) {
    const seen = own > 0 ? 'only this agent itself' : 'no address';
    // A worker's task list is empty by nature.
    return source === 'tasks' || isFormed || facts.view.state === 'joined' || source.startsWith('seed ')
      ? ok('discovery', `${source}: ${seen}`)
      : problem('discovery', null, `${source}: ${seen}`, remedyOfSource(source));
  }
  const list = addresses.slice(0, shownAddresses).join(', ');
  const more = addresses.length > shownAddresses ? ', …' : '';
  const seen = `${source} gave ${addresses.length} (${list}${more}): ${own} this agent itself, ${proved} proved membership`;
  if (proved >= others) return ok('discovery', seen);
  return warning(
    'discovery',
    null,
    seen,
    'the lines about single addresses say what is wrong with the rest; addresses that are no agents of yours come from a DNS that answers for names it does not know',
  );
}

const shownAddresses = 8;

function remedyOfSource(source: string): string {
  if (source.startsWith('dns ')) {
    return (
      'the name is known on the overlay network that the agents share, to tasks of that service only: ' +
      'deploy them as one service on one network, or set AGENT_CLUSTER_ADDR or FLOTILLA_SEEDS'
    );
  }
  if (source === 'tasks') return 'does `docker node ls` answer on this manager? Without a quorum it does not';
  return 'correct FLOTILLA_SEEDS, or the DNS that should know this name';
}

/** What is wrong with the ports of a live member: it was heard, but not everything about it works. */
function checkLivePorts(path: AddressDiagnosis, facts: DoctorFacts): readonly DoctorCheck[] {
  const { gossip, peer, gossipPort, peerPort } = path;
  const name = nameOf(path, facts);
  const checks: DoctorCheck[] = [];
  if (gossip.kind !== 'open') {
    checks.push(
      problem(
        'port',
        name,
        `${at(path, gossipPort)} (gossip): ${wordsOf(gossip)}; it is a member by connections that it opened itself, and is lost when they end`,
        remedyOfPort(gossip, gossipPort, path.address),
      ),
    );
  }
  if (peer.kind !== 'open') {
    checks.push(
      problem(
        'port',
        name,
        `${at(path, peerPort)} (requests between agents): ${wordsOf(peer)}; its resources cannot be reached from here`,
        remedyOfPort(peer, peerPort, path.address),
      ),
    );
  }
  return checks;
}

function checkAddress(path: AddressDiagnosis, facts: DoctorFacts): DoctorCheck {
  return path.gossip.kind === 'open' ? checkHandshake(path, facts) : checkClosed(path, facts);
}

function checkClosed(path: AddressDiagnosis, facts: DoctorFacts): DoctorCheck {
  const { gossip, peer, gossipPort, peerPort, address } = path;
  const name = nameOf(path, facts);
  const seen = `${at(path, gossipPort)} (gossip): ${wordsOf(gossip)}`;
  if (peer.kind === 'open') {
    return problem(
      'port',
      name,
      `${seen}, while port ${peerPort} is open: its agent runs, and something blocks the gossip`,
      remedyOfPort(gossip, gossipPort, address),
    );
  }
  if (gossip.kind === 'refused') {
    return problem(
      'port',
      name,
      `${seen}: the host answers, but no agent listens`,
      `start the agent on ${name}, or see why it ended (docker ps -a, docker logs); a firewall that rejects looks the same`,
    );
  }
  if (gossip.kind === 'silent' && peer.kind === 'refused') {
    return problem(
      'port',
      name,
      `${seen}, but port ${peerPort} is refused: the host is up, something drops what goes to port ${gossipPort}, and its agent may have stopped`,
      `${remedyOfPort(gossip, gossipPort, address)}; then see whether the agent runs there`,
    );
  }
  return problem(
    'port',
    name,
    `${seen}, and neither does port ${peerPort} answer`,
    'is the host up and on this network? A firewall that drops both ports looks the same: ' +
      `allow TCP ${gossipPort} and ${peerPort} to ${address}`,
  );
}

function checkHandshake(path: AddressDiagnosis, facts: DoctorFacts): DoctorCheck {
  const { handshake, gossipPort, peer, peerPort } = path;
  const name = nameOf(path, facts);
  const where = at(path, gossipPort);
  if (handshake === 'done') {
    return warning(
      'member',
      name,
      `${where}: its agent knows the secret, but is not a member of this cluster (yet)`,
      'look again in some seconds; if it stays so, it belongs to another Swarm, and clusters of two Swarms do not mix',
    );
  }
  if (facts.speakTls.has(addressKey(path)) || handshake === 'refused') {
    return problem(
      'secret',
      name,
      `${where}: an agent answers, but the handshake of its gossip fails: its cluster secret is not the one of this agent`,
      'give FLOTILLA_CLUSTER_SECRET or FLOTILLA_CLUSTER_SECRET_FILE the same value on all agents and restart those that differ (AGENT_SECRET stands in where it is not set)',
    );
  }
  if (peer.kind === 'open') {
    return problem(
      'port',
      name,
      `${where} and port ${peerPort} accept connections, but nothing is said on them: the agent hangs, or packets are lost after the first (MTU)`,
      `look at the log of the agent on ${name}, and restart it; if it runs well, lower the MTU of the network`,
    );
  }
  return problem(
    'secret',
    name,
    `${where}: something listens, but the handshake fails: another cluster secret, or no agent of this cluster`,
    `is it an agent that listens there? Then give it the same FLOTILLA_CLUSTER_SECRET, and allow TCP ${peerPort} too`,
  );
}

/** The node's name where anybody knows it: its record, the Swarm, or the seed that was typed. */
export function nameOf(
  {
    nodeName,
    address,
    sources,
    gossipPort,
  }: Pick<AddressDiagnosis, 'nodeName' | 'address' | 'sources' | 'gossipPort'>,
  { swarmNodes }: Pick<DoctorFacts, 'swarmNodes'>,
): string {
  if (nodeName !== undefined) return nodeName;
  const inSwarm = swarmNodes?.find((node: SwarmNode) => node.address === address);
  if (inSwarm !== undefined) return inSwarm.nodeName;
  const seed = sources.find((source) => source.startsWith('seed '))?.slice('seed '.length);
  return seed !== undefined && seed !== address ? seed : addressKey({ address, gossipPort });
}

function at({ address }: AddressDiagnosis, port: number): string {
  return addressKey({ address, gossipPort: port });
}

function wordsOf(knock: Knock): string {
  switch (knock.kind) {
    case 'open':
      return 'open';
    case 'refused':
      return 'connection refused';
    case 'silent':
      return `no answer within ${knock.afterMs} ms`;
    case 'unreachable':
      return `unreachable (${knock.reason})`;
  }
}

function remedyOfPort(knock: Knock, port: number, address: string): string {
  if (knock.kind === 'unreachable')
    return `give this host a route to ${address}, or let the agents advertise other addresses (FLOTILLA_ADVERTISE_ADDR)`;
  const how = knock.kind === 'silent' ? 'dropped' : 'rejected';
  return `packets to TCP ${port} are ${how} on the way: allow them to ${address} from all nodes (firewall, security group)`;
}
