// Turns environment and command line into the Config: flag, then non-empty variable, then default.
// Pure. All faults are reported at once, each naming the variable or flag, its value, and what would be accepted.

import { AgentError, reasonOf } from '../errors.ts';
import type {
  ApiConfig,
  AuthConfig,
  ClusterConfig,
  Config,
  LogLevel,
  LogMode,
  SocketsConfig,
  SocketsWhere,
} from './config.ts';
import type { Variable, VariableType } from './env.ts';
import { ownPrefix, variables } from './env.ts';
import { parseFlags } from './flags.ts';
import { edgeConfig, proxiesOf } from './parse-edge.ts';
import type { ValueOf } from './value.ts';
import { acceptedBy, parseValue } from './value.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Throws `config-invalid`. `readFile` reads the secret files; it may throw. */
export function parseConfig(
  env: Environment,
  argv: readonly string[],
  readFile: (path: string) => string,
): Config {
  const fields = readFields(env, argv);
  const secrets = {
    agent: readSecret(fields, 'AGENT_SECRET', readFile),
    cluster: readSecret(fields, 'FLOTILLA_CLUSTER_SECRET', readFile),
  };
  const edge = edgeConfig(fields);
  const config: Config = {
    agent: {
      portainerVersion: fields.read('version', 'FLOTILLA_PORTAINER_VERSION'),
      dataPath: fields.read('path', 'DATA_PATH'),
      dockerSocket: fields.read('path', 'FLOTILLA_DOCKER_SOCKET'),
      hostRoot: fields.read('path', 'FLOTILLA_HOST_ROOT'),
      podman: fields.read('string', 'PODMAN') === '1',
    },
    api: apiConfig(fields),
    auth: authConfig(fields, secrets.agent),
    browse: { hostBrowse: hostBrowse(fields) },
    cluster: clusterConfig(fields, secrets.cluster ?? secrets.agent),
    dockerHub: {
      authUrl: fields.read('origin', 'FLOTILLA_DOCKERHUB_AUTH_URL'),
      registryUrl: fields.read('origin', 'FLOTILLA_DOCKERHUB_REGISTRY_URL'),
      proxies: edge?.proxies ?? proxiesOf(fields, 'ignored'),
    },
    edge,
    fanOut: {
      memberTimeoutMs: fields.read('duration', 'FLOTILLA_NODE_TIMEOUT'),
      slowMemberTimeoutMs: fields.read('duration', 'FLOTILLA_SLOW_NODE_TIMEOUT'),
    },
    log: {
      // The table's choices are exactly these types' members; a test holds them together.
      level: fields.read('enum', 'LOG_LEVEL') as LogLevel,
      mode: fields.read('enum', 'LOG_MODE') as LogMode,
    },
    sockets: socketsConfig(fields),
  };
  fields.checkRest();
  checkPorts(config, fields);
  checkAdvertised(config, fields);
  checkSockets(config, fields);
  if (fields.faults.length > 0) throw invalid(fields.faults);
  return config;
}

/** Variables with our prefix that the table does not know: most likely typing mistakes. */
export function unknownVariables(env: Environment): readonly string[] {
  const known = new Set(variables.map(({ name }) => name));
  return Object.keys(env)
    .filter((name) => name.startsWith(ownPrefix) && !known.has(name))
    .toSorted();
}

function apiConfig(fields: Fields): ApiConfig {
  const metrics = fields.read('listen', 'FLOTILLA_METRICS_ADDR');
  return {
    host: fields.read('ip', 'AGENT_HOST'),
    port: fields.read('int', 'AGENT_PORT'),
    keepAliveMs: fields.read('duration', 'FLOTILLA_KEEP_ALIVE'),
    drainMs: fields.read('duration', 'FLOTILLA_DRAIN_TIMEOUT'),
    metrics: metrics === 'off' ? undefined : metrics,
    controlSocket: fields.read('path', 'FLOTILLA_CONTROL_SOCKET'),
  };
}

function authConfig(fields: Fields, secret: string | undefined): AuthConfig {
  return {
    secret,
    associationTimeoutMs: fields.read('duration', 'AGENT_SECRET_TIMEOUT'),
    dataPath: fields.read('path', 'DATA_PATH'),
  };
}

/** Either switches it off. Both are read, so that a fault in either is reported. */
function hostBrowse(fields: Fields): boolean {
  const ours = fields.read('enum', 'FLOTILLA_HOST_BROWSE') === 'on';
  const portainers = fields.read('bool', 'CAP_HOST_MANAGEMENT');
  return ours && portainers;
}

function clusterConfig(fields: Fields, secret: string | undefined): ClusterConfig {
  const gossipPort = fields.read('int', 'FLOTILLA_GOSSIP_PORT');
  const seeds = fields.read('seeds', 'FLOTILLA_SEEDS');
  return {
    secret,
    addr: orUndefined(fields.read('host', 'AGENT_CLUSTER_ADDR').host),
    seeds: seeds.map(({ host, port }) => ({ host, port: port ?? gossipPort })),
    advertiseAddr: orUndefined(fields.read('ip', 'FLOTILLA_ADVERTISE_ADDR')),
    apiPort: fields.read('int', 'AGENT_PORT'),
    gossipPort,
    peerPort: fields.read('int', 'FLOTILLA_PEER_PORT'),
    probeTimeoutMs: fields.read('duration', 'AGENT_CLUSTER_PROBE_TIMEOUT'),
    probeIntervalMs: fields.read('duration', 'AGENT_CLUSTER_PROBE_INTERVAL'),
  };
}

function socketsConfig(fields: Fields): SocketsConfig {
  const group = fields.read('group', 'FLOTILLA_SOCKET_GROUP');
  return {
    // The table's choices are exactly this type's members; a test holds them together.
    where: fields.read('enum', 'FLOTILLA_SOCKETS') as SocketsWhere,
    dir: orUndefined(fields.read('path', 'FLOTILLA_SOCKET_DIR')),
    mode: fields.read('mode', 'FLOTILLA_SOCKET_MODE'),
    group: group === '' ? undefined : group,
    strict: fields.read('bool', 'FLOTILLA_STRICT'),
  };
}

function orUndefined(text: string): string | undefined {
  return text === '' ? undefined : text;
}

/** The options of one start: their texts, and the faults found so far. */
export interface Fields {
  readonly faults: string[];
  /** The value of a variable. Not acceptable: a fault is noted and the default's value stands in. */
  read<T extends VariableType>(type: T, name: string): ValueOf[T];
  /** Whether it was given at all, by flag or by non-empty variable. */
  given(name: string): boolean;
  /** Notes a fault of a variable, showing how it was given. */
  fault(name: string, expected: string): void;
  /** Checks the variables that nothing has read. */
  checkRest(): void;
}

function readFields(env: Environment, argv: readonly string[]): Fields {
  const flags = parseFlags(argv, variables);
  const faults = [...flags.faults];
  const checked = new Set<string>();

  const source = (variable: Variable): { readonly shown: string; readonly text: string } | undefined => {
    const flag = flags.values.get(variable.name);
    if (flag !== undefined) return { shown: flag.flag, text: flag.text };
    const text = env[variable.name] ?? '';
    return text === '' ? undefined : { shown: variable.name, text };
  };
  const fault = (name: string, expected: string): void => {
    const variable = findVariable(name);
    const given = source(variable);
    faults.push(`${given?.shown ?? name}=${show(variable, given?.text ?? variable.default)}: ${expected}`);
  };
  const read = <T extends VariableType>(type: T, name: string): ValueOf[T] => {
    const variable = findVariable(name);
    const text = source(variable)?.text ?? variable.default;
    const value = parseValue(type, text, variable);
    if (value !== undefined) {
      checked.add(name);
      return value;
    }
    // Read twice, reported once.
    if (!checked.has(name)) fault(name, `expected ${acceptedBy(variable)}`);
    checked.add(name);
    const standIn = parseValue(type, variable.default, variable);
    if (standIn === undefined) throw new Error(`default of ${name} is not acceptable`);
    return standIn;
  };
  const checkRest = (): void => {
    for (const { name, type, use } of variables) {
      if (use !== 'ignored' && !checked.has(name)) read(type, name);
    }
  };
  return { faults, read, given: (name) => source(findVariable(name)) !== undefined, fault, checkRest };
}

function findVariable(name: string): Variable {
  const variable = variables.find((candidate) => candidate.name === name);
  if (variable === undefined) throw new Error(`${name} is not in the table of variables`);
  return variable;
}

/** Values are quoted and cut, so that a fault is one readable line whatever was given. */
function show({ secret }: Variable, text: string): string {
  if (secret === true) return '(redacted)';
  const maxShownChars = 100;
  return JSON.stringify(text.length > maxShownChars ? `${text.slice(0, maxShownChars)}…` : text);
}

/**
 * A secret, from its variable or from the file that `<name>_FILE` names. One that is named but empty is refused:
 * treating it as absent would open what somebody meant to close.
 */
function readSecret(fields: Fields, name: string, readFile: (path: string) => string): string | undefined {
  const fileName = `${name}_FILE`;
  const text = fields.read('string', name);
  const path = fields.read('path', fileName);
  if (!fields.given(fileName)) {
    if (!fields.given(name)) return undefined;
    if (text.trim() === '') fields.fault(name, 'expected a secret that is not empty or white space');
    return text;
  }
  if (fields.given(name)) {
    fields.fault(fileName, `expected only one of ${name} and ${fileName}`);
    return undefined;
  }
  return readSecretFile(fields, fileName, path, readFile);
}

function readSecretFile(
  fields: Fields,
  fileName: string,
  path: string,
  readFile: (path: string) => string,
): string | undefined {
  try {
    // Editors and `echo` end a file with a newline that nobody means as part of the secret.
    const secret = readFile(path).replace(/\r?\n$/, '');
    if (secret.trim() === '') fields.fault(fileName, 'expected a file that is not empty or white space');
    return secret;
  } catch (error) {
    fields.fault(fileName, `expected a readable file: ${reasonOf(error)}`);
    return undefined;
  }
}

/** Two listeners on one port cannot both start; 0 asks for any free one. */
function checkPorts({ api, cluster, edge }: Config, fields: Fields): void {
  const ports: readonly (readonly [string, number])[] = [
    ['AGENT_PORT', api.port],
    ['FLOTILLA_PEER_PORT', cluster.peerPort],
    ['FLOTILLA_GOSSIP_PORT', cluster.gossipPort],
    ['FLOTILLA_METRICS_ADDR', api.metrics?.port ?? 0],
    ['EDGE_SERVER_PORT', edge?.page.port ?? 0],
  ];
  for (const [index, [name, port]] of ports.entries()) {
    const other = ports.slice(0, index).find(([, taken]) => port !== 0 && taken === port);
    if (other !== undefined) fields.fault(name, `expected another port than that of ${other[0]}`);
  }
}

/** Whoever dials "any address" reaches itself. */
function checkAdvertised({ cluster }: Config, fields: Fields): void {
  if (cluster.advertiseAddr === '0.0.0.0' || cluster.advertiseAddr === '::')
    fields.fault('FLOTILLA_ADVERTISE_ADDR', 'expected the address that others reach this agent at');
}

/** A socket's path has 107 bytes on Linux; this leaves room for the id of any Swarm node. */
const maxSocketDirBytes = 70;

function checkSockets({ sockets: { dir } }: Config, fields: Fields): void {
  if (dir === undefined) return;
  if (!dir.startsWith('/') || Buffer.byteLength(dir) > maxSocketDirBytes)
    fields.fault('FLOTILLA_SOCKET_DIR', `expected an absolute path of at most ${maxSocketDirBytes} bytes`);
}

function invalid(faults: readonly string[]): AgentError {
  const count = faults.length === 1 ? '1 fault' : `${faults.length} faults`;
  return new AgentError('config-invalid', [`read the configuration: ${count}`, ...faults].join('\n  '));
}
