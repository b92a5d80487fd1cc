// Decides which Docker contexts there should be, and what becomes of each by those that are there already. Pure.
// A context is ours when its description says so: nobody else's is changed or removed.

import { AgentError } from '../errors.ts';

export interface PlannedContext {
  readonly name: string;
  /** The value of `host=`. */
  readonly endpoint: string;
  readonly description: string;
}

/** A context as `docker context ls` tells it. */
export interface KnownContext {
  readonly name: string;
  readonly endpoint: string;
  readonly description: string;
  readonly current: boolean;
}

export interface PlanInputs {
  readonly prefix: string;
  /** Undefined: on this machine. */
  readonly host: SshHost | undefined;
  /** Folder of `docker.sock` and `nodes/`. */
  readonly sockets: string;
  /** Names of the node sockets, without `.sock`. */
  readonly nodes: readonly string[];
}

export interface SshHost {
  /** `ssh://[user@]host[:port]`. */
  readonly url: string;
  /** Arguments of `ssh` that lead there, the host last. */
  readonly arguments: readonly string[];
}

/** How every description begins. */
const mark = 'Flotilla: ';
/** docker/cli#4073 is in 24.0; older ones say `extra path after the host`. */
const firstMajorWithSshPath = 24;

export function planContexts({ prefix, host, sockets, nodes }: PlanInputs): readonly PlannedContext[] {
  const where = host === undefined ? `unix://${sockets}` : `${host.url}${sockets}`;
  const through = host === undefined ? '' : ` through ${host.url}`;
  return [
    { name: prefix, endpoint: `${where}/docker.sock`, description: `${mark}all nodes${through}` },
    ...nodes.map((node) => ({
      // Engine ids have colons, which no context may have.
      name: `${prefix}-${node.replaceAll(/[^A-Za-z0-9_.+-]/g, '-')}`,
      endpoint: `${where}/nodes/${node}.sock`,
      description: `${mark}node ${node}${through}`,
    })),
  ];
}

export type ContextState = 'new' | 'made' | 'differs' | 'taken';

/** `taken`: somebody else's context has that name. */
export function stateOf(planned: PlannedContext, known: readonly KnownContext[]): ContextState {
  const found = known.find(({ name }) => name === planned.name);
  if (found === undefined) return 'new';
  if (!isOurs(found)) return 'taken';
  return found.endpoint === planned.endpoint && found.description === planned.description
    ? 'made'
    : 'differs';
}

/** Ours with this prefix, for all nodes or one. */
export function toRemove(prefix: string, known: readonly KnownContext[]): readonly KnownContext[] {
  return known.filter(
    (context) => isOurs(context) && (context.name === prefix || context.name.startsWith(`${prefix}-`)),
  );
}

function isOurs({ description }: KnownContext): boolean {
  return description.startsWith(mark);
}

/** Throws for a name that the docker CLI would refuse. */
export function checkPrefix(prefix: string): string {
  if (/^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$/.test(prefix) && prefix !== 'default') return prefix;
  throw new AgentError(
    'config-invalid',
    `--prefix ${JSON.stringify(prefix)}: expected two or more letters, digits, or any of _ . + -`,
  );
}

/** Throws for what is no `ssh://[user@]host[:port]`. */
export function parseSshHost(text: string): SshHost {
  const match =
    /^ssh:\/\/(?:([A-Za-z0-9._-]+)@)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9][A-Za-z0-9._-]*)(?::(\d{1,5}))?\/?$/.exec(
      text,
    );
  if (match === null) {
    throw new AgentError(
      'config-invalid',
      `--host ${JSON.stringify(text)}: expected ssh://[user@]host[:port]; the folder of the sockets is --sockets`,
    );
  }
  const [, user, host = '', port] = match;
  const args = [
    ...(user === undefined ? [] : ['-l', user]),
    ...(port === undefined ? [] : ['-p', port]),
    '--',
    host.replaceAll(/[[\]]/g, ''),
  ];
  return { url: text.replace(/\/$/, ''), arguments: args };
}

/** Undefined when this CLI takes a path behind the host; else what to do instead. */
export function faultOfSshPath(
  cliVersion: string | undefined,
  { url, arguments: ssh }: SshHost,
  sockets: string,
): string | undefined {
  const major = Number.parseInt(cliVersion ?? '', 10);
  // One that does not say what it is may well be new.
  if (Number.isNaN(major) || major >= firstMajorWithSshPath) return undefined;
  return `docker CLI ${cliVersion} refuses a path behind the host of ssh://; ${firstMajorWithSshPath}.0 is the first to take one.
  - with a newer CLI: flotilla context create --docker <path of docker> --host ${url}
  - or forward the socket, and use it as a local one:
      ssh -nNT -L /tmp/flotilla.sock:${sockets}/docker.sock ${ssh.join(' ')} &
      docker context create flotilla --docker host=unix:///tmp/flotilla.sock`;
}

/** The socket's name without `.sock`, sorted; other files are not ours. */
export function toSocketNames(files: readonly string[]): readonly string[] {
  return files
    .filter((file) => file.endsWith(socketSuffix) && /^[A-Za-z0-9]/.test(file))
    .map((file) => file.slice(0, -socketSuffix.length))
    .toSorted();
}

const socketSuffix = '.sock';
