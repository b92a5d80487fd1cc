// Every variable and flag of the agent, each listed once: name, type, default and meaning.
// docs/CONFIG.md and `flotilla agent --help` are printed from this table, so they cannot differ from it.

import { browseVariables } from './env-browse.ts';
import { edgeVariables } from './env-edge.ts';
import { ignoredVariables } from './env-unused.ts';

export type VariableType =
  | 'bool'
  | 'int'
  | 'duration'
  | 'ip'
  | 'int list'
  | 'string'
  | 'path'
  | 'host'
  | 'seeds'
  | 'listen'
  | 'version'
  | 'enum'
  | 'mode'
  | 'group'
  | 'origin';

export type VariableGroup =
  | 'Agent'
  | 'Cluster'
  | 'Trust'
  | 'Sockets'
  | 'Proxy'
  | 'Operation'
  | 'Edge'
  | 'Not used';

export interface Variable {
  readonly name: string;
  /** Long flags, preferred one first, without the dashes; empty for variables read from the environment only. */
  readonly flags: readonly string[];
  readonly type: VariableType;
  /** As text, in the syntax that the variable itself accepts. */
  readonly default: string;
  readonly group: VariableGroup;
  readonly meaning: string;
  /** `ignored`: accepted for compatibility, not even checked. */
  readonly use: 'used' | 'ignored';
  readonly choices?: readonly string[];
  /** Smallest and largest value of an int, or milliseconds of a duration. */
  readonly min?: number;
  readonly max?: number;
  /** Never shown, and refused when it is only white space. */
  readonly secret?: true;
}

const maxPort = 65_535;

/** The process environment: the one place that reads it, so that the parser stays pure. */
export function readEnvironment(): Readonly<Record<string, string | undefined>> {
  return process.env;
}

const agentVariables: readonly Variable[] = [
  used(
    'Agent',
    'AGENT_HOST',
    'host',
    'ip',
    '0.0.0.0',
    'Listen address of the compat API; also the last choice for the advertised address',
  ),
  {
    ...used('Agent', 'AGENT_PORT', 'port', 'int', '9001', 'Port of the compat API; also told to the cluster'),
    min: 0,
    max: maxPort,
  },
  used(
    'Agent',
    'DATA_PATH',
    'data',
    'path',
    '/data',
    'Folder for state that survives restarts: which Portainer this agent belongs to',
  ),
  used(
    'Agent',
    'FLOTILLA_DOCKER_SOCKET',
    'docker-socket',
    'path',
    '/var/run/docker.sock',
    'Unix socket of the local engine',
  ),
  used('Agent', 'FLOTILLA_HOST_ROOT', 'host-root', 'path', '/host', "Where the host's `/` is mounted"),
  used(
    'Agent',
    'FLOTILLA_PORTAINER_VERSION',
    'portainer-version',
    'version',
    '2.23.0',
    'Agent version told to Portainer; X.Y.Z, not below 2.19.0',
  ),
  used(
    'Agent',
    'PODMAN',
    undefined,
    'string',
    '',
    'Exactly `1`: the engine is Podman, and no cluster is formed',
  ),
];

const clusterVariables: readonly Variable[] = [
  used(
    'Cluster',
    'AGENT_CLUSTER_ADDR',
    'cluster-addr',
    'host',
    '',
    'Host name or address that leads to the other agents, with or without a port; empty: `tasks.<own service>`',
  ),
  {
    ...used(
      'Cluster',
      'AGENT_CLUSTER_PROBE_TIMEOUT',
      'agent-cluster-timeout',
      'duration',
      '500ms',
      'How long a member has to answer a probe',
    ),
    min: 10,
  },
  {
    ...used(
      'Cluster',
      'AGENT_CLUSTER_PROBE_INTERVAL',
      'agent-cluster-interval',
      'duration',
      '1s',
      'Time between two probes',
    ),
    min: 10,
  },
  used(
    'Cluster',
    'FLOTILLA_SEEDS',
    'seeds',
    'seeds',
    '',
    'Other agents, `host[:port],…`; clusters hosts without Swarm',
  ),
  used(
    'Cluster',
    'FLOTILLA_ADVERTISE_ADDR',
    'advertise-addr',
    'ip',
    '',
    "Address that other agents reach this one at; empty: the container's address on the agents' network",
  ),
  {
    ...used(
      'Cluster',
      'FLOTILLA_GOSSIP_PORT',
      'gossip-port',
      'int',
      '7946',
      'TCP port of the gossip, on the advertised address',
    ),
    // Others must be told it before there is a listener, so none can be chosen then.
    min: 1,
    max: maxPort,
  },
  {
    ...used(
      'Cluster',
      'FLOTILLA_PEER_PORT',
      'peer-port',
      'int',
      '9002',
      'TCP port for requests between agents (mutual TLS), on the advertised address',
    ),
    min: 0,
    max: maxPort,
  },
];

const trustVariables: readonly Variable[] = [
  {
    ...used(
      'Trust',
      'AGENT_SECRET',
      'secret',
      'string',
      '',
      'Secret mode: signatures are made over this text; doubles as the cluster secret when that is not set',
    ),
    secret: true,
  },
  used('Trust', 'AGENT_SECRET_FILE', 'secret-file', 'path', '', 'File that holds `AGENT_SECRET`'),
  {
    ...used(
      'Trust',
      'AGENT_SECRET_TIMEOUT',
      'secret-timeout',
      'duration',
      '72h',
      'The compat API closes after this time if no Portainer was associated',
    ),
    min: 0,
  },
  {
    ...used(
      'Trust',
      'FLOTILLA_CLUSTER_SECRET',
      'cluster-secret',
      'string',
      '',
      'Shared by all agents: closes the gossip and lets agents act for each other',
    ),
    secret: true,
  },
  used(
    'Trust',
    'FLOTILLA_CLUSTER_SECRET_FILE',
    'cluster-secret-file',
    'path',
    '',
    'File that holds `FLOTILLA_CLUSTER_SECRET`, such as a Docker secret',
  ),
];

const socketVariables: readonly Variable[] = [
  {
    ...used(
      'Sockets',
      'FLOTILLA_SOCKETS',
      'sockets',
      'enum',
      'all',
      'Where there are Docker sockets: on all nodes, on Swarm managers only, or nowhere',
    ),
    choices: ['all', 'managers', 'off'],
  },
  used(
    'Sockets',
    'FLOTILLA_SOCKET_DIR',
    'socket-dir',
    'path',
    '',
    "Folder of `docker.sock` (the whole cluster) and `nodes/<node>.sock`; empty: `/run/flotilla` of the host, below `FLOTILLA_HOST_ROOT` where the host's `/` is mounted there",
  ),
  used('Sockets', 'FLOTILLA_SOCKET_MODE', 'socket-mode', 'mode', '0660', 'Permissions of these sockets'),
  used(
    'Sockets',
    'FLOTILLA_SOCKET_GROUP',
    'socket-group',
    'group',
    '',
    "Group of these sockets; names are the host's; empty: the group of the engine's own socket",
  ),
  used(
    'Sockets',
    'FLOTILLA_STRICT',
    'strict',
    'bool',
    'false',
    'On the cluster socket, a list without the part of some node is refused (503); a client asks for it with `Flotilla-Strict: 1`',
  ),
];

const proxyVariables: readonly Variable[] = [
  {
    ...used(
      'Proxy',
      'FLOTILLA_NODE_TIMEOUT',
      'node-timeout',
      'duration',
      '2s',
      "Until the first byte of a node's part of a merged list; later it is reported missing",
    ),
    min: 10,
  },
  {
    ...used(
      'Proxy',
      'FLOTILLA_SLOW_NODE_TIMEOUT',
      'slow-node-timeout',
      'duration',
      '60s',
      'The same for slow lists (`size=1`, disk usage, `info`)',
    ),
    min: 10,
  },
  {
    ...used(
      'Proxy',
      'FLOTILLA_KEEP_ALIVE',
      'keep-alive',
      'duration',
      '150s',
      'How long an idle client connection is kept; Portainer needs 120s or more',
    ),
    min: 120_000,
  },
  used(
    'Proxy',
    'FLOTILLA_DOCKERHUB_AUTH_URL',
    'dockerhub-auth-url',
    'origin',
    'https://auth.docker.io',
    'Gives out the token with which Portainer’s page asks for the pull limits of Docker Hub',
  ),
  used(
    'Proxy',
    'FLOTILLA_DOCKERHUB_REGISTRY_URL',
    'dockerhub-registry-url',
    'origin',
    'https://registry-1.docker.io',
    'Registry that names those limits',
  ),
];

const operationVariables: readonly Variable[] = [
  {
    ...used(
      'Operation',
      'LOG_LEVEL',
      'log-level',
      'enum',
      'INFO',
      'The least important line that is written',
    ),
    choices: ['ERROR', 'WARN', 'INFO', 'DEBUG'],
  },
  {
    ...used('Operation', 'LOG_MODE', 'log-mode', 'enum', 'PRETTY', 'Form of the log on stderr'),
    choices: ['NOCOLOR', 'PRETTY', 'JSON'],
  },
  used(
    'Operation',
    'FLOTILLA_METRICS_ADDR',
    'metrics-addr',
    'listen',
    '127.0.0.1:9003',
    'Listen address of `/metrics`, `/healthz` and `/readyz`; `off` for none',
  ),
  {
    ...used(
      'Operation',
      'FLOTILLA_DRAIN_TIMEOUT',
      'drain-timeout',
      'duration',
      '8s',
      'How long streams may go on after SIGTERM; keep it below the grace period of the container',
    ),
    min: 0,
  },
  used(
    'Operation',
    'FLOTILLA_CONTROL_SOCKET',
    'control-socket',
    'path',
    '/run/flotilla/control.sock',
    'Unix socket (mode 0600) for `flotilla keys` and `flotilla health`',
  ),
];

export const variables: readonly Variable[] = [
  ...agentVariables,
  ...browseVariables,
  ...clusterVariables,
  ...trustVariables,
  ...socketVariables,
  ...proxyVariables,
  ...operationVariables,
  ...edgeVariables,
  ...ignoredVariables,
];

/** Flags with this prefix are accepted with a value and ignored (agent-api.md 1). */
export const ignoredFlagPrefix = 'aws-';
/** Ours: an unknown variable with this prefix is a typing mistake worth a warning. */
export const ownPrefix = 'FLOTILLA_';

function used(
  group: VariableGroup,
  name: string,
  flag: string | undefined,
  type: VariableType,
  value: string,
  meaning: string,
): Variable {
  return { name, flags: flag === undefined ? [] : [flag], type, default: value, group, meaning, use: 'used' };
}
