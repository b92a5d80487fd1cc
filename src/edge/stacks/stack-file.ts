// Reads what Portainer sends of one Edge stack: names, files, variables.
// Pure. Every name becomes a path or an argument later, so each is held to its form here, once.

import { AgentError } from '../../errors.ts';

export interface StackFiles {
  /** Compose project or Swarm stack. */
  readonly project: string;
  /** Parts of the path of the compose file, which is one of the files. */
  readonly entry: readonly string[];
  readonly entries: readonly StackEntry[];
  /** Pulled before it is deployed. */
  readonly pull: boolean;
  readonly variables: Readonly<Record<string, string>>;
}

export interface StackEntry {
  /** Below the stack's folder; none of them leads up. */
  readonly parts: readonly string[];
  /** Undefined: a folder. */
  readonly content: Buffer | undefined;
  /** Permission bits, without set-user-id and its like. */
  readonly mode: number;
}

/** Files, or variables: a Git repository's worth of configuration. */
const maxStackItems = 2_000;
/** What Linux takes as one name, and as one path below a folder of ours. */
const maxNameBytes = 255;
const maxPathBytes = 2_048;

const inlineFileName = 'docker-compose.yml';

type Fields = Readonly<Record<string, unknown>>;

/**
 * Throws `protocol-violation`, in words for the one who wrote the stack; `unavailable` when it is no stack at all: then
 * something between here and Portainer has answered, and another time will do.
 */
export function parseStackFiles(body: string): StackFiles {
  const fields = parseAnswer(body);
  const name = fields.name;
  // As Compose and Swarm take it. With the prefix before it, it cannot be read as an option.
  if (typeof name !== 'string' || !/^[A-Za-z0-9][A-Za-z0-9_.-]{0,100}$/.test(name))
    throw violation('its name');
  const listed = toList(fields.direntries, 'its files').flatMap(toEntries);
  const inline = fields.stackfilecontent;
  const entries = listed.length === 0 && typeof inline === 'string' ? [inlineEntry(inline)] : listed;
  const entry = toParts(fields.entryfilename ?? inlineFileName, 'the name of its compose file');
  assertFiles(entries, entry);
  return {
    project: `edge_${name}`,
    entry,
    entries,
    pull: [fields.prepullimage, fields.repullimage, fields.readyrepullimage].includes(true),
    variables: toVariables(fields.envvars),
  };
}

function inlineEntry(text: string): StackEntry {
  return { parts: [inlineFileName], content: Buffer.from(text), mode: 0o644 };
}

function assertFiles(entries: readonly StackEntry[], entry: readonly string[]): void {
  const seen = new Map<string, boolean>();
  for (const { parts, content } of entries) {
    const path = parts.join('/');
    if (content !== undefined && seen.has(path))
      throw violation(`its file ${shown(path)} (it is there twice)`);
    seen.set(path, content !== undefined);
  }
  for (const path of seen.keys())
    for (const above of foldersAbove(path))
      if (seen.get(above) === true) throw violation(`its file ${shown(above)} (it is a folder too)`);
  if (seen.get(entry.join('/')) !== true)
    throw violation(`its compose file (${shown(entry.join('/'))} is not among its files)`);
}

function foldersAbove(path: string): readonly string[] {
  const parts = path.split('/');
  return parts.slice(1).map((_part, at) => parts.slice(0, at + 1).join('/'));
}

/** None for the stack's own folder, which may be listed too. */
function toEntries(value: unknown): readonly StackEntry[] {
  const fields = toFields(value, 'a file');
  const isFile = fields.isfile === true;
  if (!isFile && /^(?:\.?\/?)$/.test(String(fields.name ?? ''))) return [];
  const parts = toParts(fields.name, 'the name of a file');
  const permissions = typeof fields.permissions === 'number' ? fields.permissions & 0o777 : 0o644;
  if (!isFile) return [{ parts, content: undefined, mode: permissions | 0o700 }];
  const text = fields.content ?? '';
  if (typeof text !== 'string' || !/^[A-Za-z0-9+/]*={0,2}$/.test(text))
    throw violation(`the content of ${shown(parts.join('/'))}`);
  return [{ parts, content: Buffer.from(text, 'base64'), mode: permissions | 0o600 }];
}

/** Relative, and never up: nothing outside of the folder has a name here. */
function toParts(value: unknown, what: string): readonly string[] {
  if (typeof value !== 'string') throw violation(what);
  const fault = `${what} (${shown(value)})`;
  if (value.startsWith('/') || value.includes('\0') || Buffer.byteLength(value) > maxPathBytes)
    throw violation(fault);
  const parts = value.split('/').filter((part) => part !== '' && part !== '.');
  const isBad = parts.some((part) => part === '..' || Buffer.byteLength(part) > maxNameBytes);
  if (isBad || parts.length === 0 || value.endsWith('/')) throw violation(fault);
  return parts;
}

/** Names that decide which program runs, with which library, against which engine: ours to say. */
const reserved =
  /^(?:PATH|HOME|LD_.*|DOCKER_(?:HOST|CONFIG|CONTEXT|CERT_PATH|TLS|TLS_VERIFY)|COMPOSE_FILE|COMPOSE_PROJECT_NAME|PORTAINER_EDGE_ID|NODE_.*)$/;

function toVariables(value: unknown): Readonly<Record<string, string>> {
  const list = value === undefined || value === null ? [] : toList(value, 'its variables');
  return Object.fromEntries(
    list.map((item) => {
      const { name, value: text } = toFields(item, 'a variable');
      if (typeof name !== 'string' || !/^[A-Za-z_][A-Za-z0-9_]{0,254}$/.test(name))
        throw violation('the name of a variable');
      if (reserved.test(name)) throw violation(`its variable ${name} (it is reserved)`);
      if (typeof text !== 'string' || text.includes('\0')) throw violation(`its variable ${name}`);
      return [name, text];
    }),
  );
}

function parseAnswer(body: string): Fields {
  try {
    const fields = toFields(JSON.parse(body), 'the answer');
    if ('name' in fields) return fields;
  } catch (error) {
    throw new AgentError('unavailable', 'read stack: the answer is not one of Portainer', { cause: error });
  }
  throw new AgentError('unavailable', 'read stack: the answer has no name of a stack');
}

/** Names in lower case, as Go's decoder reads them. */
function toFields(value: unknown, what: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw violation(what);
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name.toLowerCase(), member]));
}

function toList(value: unknown, what: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw violation(what);
  if (value.length > maxStackItems) throw violation(`${what} (more than ${maxStackItems})`);
  return value;
}

function shown(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
}

function violation(what: string): AgentError {
  return new AgentError('protocol-violation', `read stack: ${what} is missing or malformed`);
}
