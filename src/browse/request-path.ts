// Reads what a request names: which root it means, and the parts of the path below that root (attack A-50).
// Pure. What comes out holds no empty part, no dot part, no slash and no NUL; links are not its concern.

import { AgentError } from '../errors.ts';
import { readName } from './names.ts';

export type Root = { readonly kind: 'volume'; readonly name: string } | { readonly kind: 'host' };

/** `PATH_MAX` of Linux: the longest path that a program can name. */
export const maxPathBytes: number = 4_096;
/** The engine's own rule for the names of volumes (`RestrictedNamePattern`); it has no bound, file systems do. */
const volumeName = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/;
/** What Portainer calls the host's `/`, wherever that is mounted. */
const hostPrefix: readonly Buffer[] = [Buffer.from('host')];

const slash = 0x2f;
const backslash = 0x5c;

/** An empty id means the host, as in the contract. */
export function readRoot(volumeId: string): Root {
  if (volumeId === '') return { kind: 'host' };
  if (volumeName.test(volumeId)) return { kind: 'volume', name: volumeId };
  throw new AgentError('request-invalid', 'invalid volume name. Only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed');
}

/** Below a volume any path is meant from its root; below the host it begins with `/host` or with where `/` is mounted. */
export function readParts(root: Root, path: Buffer, hostRoot: string): readonly Buffer[] {
  const bytes = readName(path);
  if (bytes.length > maxPathBytes)
    throw new AgentError('request-invalid', `invalid path. It is longer than ${maxPathBytes} bytes`);
  if (bytes.includes(0)) throw new AgentError('request-invalid', 'invalid path. It holds a NUL');
  if (split(bytes, [slash, backslash]).some((part) => part.equals(dotDot)))
    throw new AgentError(
      'request-invalid',
      "invalid path. Ensure that the path do not contain '..' elements",
    );
  const parts = toParts(bytes);
  if (root.kind === 'volume') return parts;
  for (const prefix of [hostPrefix, toParts(Buffer.from(hostRoot))]) {
    if (prefix.every((part, index) => parts[index]?.equals(part) === true)) return parts.slice(prefix.length);
  }
  throw new AgentError('request-invalid', 'invalid path. Paths of the host begin with /host');
}

/** The last part of an uploaded file's name, whatever folders the client put before it; undefined where none is left. */
export function readFileName(name: Buffer): Buffer | undefined {
  const bytes = readName(name);
  const last = bytes.subarray(bytes.lastIndexOf(slash) + 1);
  if (last.length === 0 || last.includes(0) || last.equals(dot) || last.equals(dotDot)) return undefined;
  return last;
}

/** Dot-dot parts stay: in a link's target they mean the folder above the one that was reached. */
export function toParts(path: Buffer): readonly Buffer[] {
  return split(path, [slash]).filter((part) => part.length > 0 && !part.equals(dot));
}

const dot = Buffer.from('.');
export const dotDot: Buffer = Buffer.from('..');

function split(bytes: Buffer, separators: readonly number[]): readonly Buffer[] {
  const parts: Buffer[] = [];
  let from = 0;
  for (let at = 0; at <= bytes.length; at += 1) {
    if (at < bytes.length && !separators.includes(bytes[at] ?? 0)) continue;
    parts.push(bytes.subarray(from, at));
    from = at + 1;
  }
  return parts;
}
