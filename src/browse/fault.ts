// Turns what the file system says into our error: a reason that people understand, and never a path of ours.

import { AgentError, nodeCode } from '../errors.ts';

/** ENOENT and its like, in the words of the system. */
const texts: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EBUSY: 'it is in use',
  EDQUOT: 'the quota is used up',
  EEXIST: 'a folder of this name exists',
  EFBIG: 'the file is too large for this file system',
  EINVAL: 'not possible here',
  EIO: 'the disk failed to read or write',
  EISDIR: 'it is a folder',
  ELOOP: 'too many links',
  EMFILE: 'too many open files',
  ENAMETOOLONG: 'the name is too long',
  ENOENT: 'no such file or directory',
  ENOSPC: 'no space left on device',
  ENOTDIR: 'not a directory',
  ENOTEMPTY: 'the directory is not empty',
  EPERM: 'operation not permitted',
  EROFS: 'the file system is read-only',
  ETXTBSY: 'it is being executed',
};

/** `attempted` begins the message, such as `list a folder`. */
export function toBrowseError(error: unknown, attempted: string): AgentError {
  if (error instanceof AgentError) return error;
  const code = nodeCode(error);
  const text = texts[code ?? ''] ?? `failed${code === undefined ? '' : ` (${code})`}`;
  return new AgentError('unavailable', `${attempted}: ${text}`, { cause: error });
}

/** True for the errors with one of these codes. */
export function isCode(error: unknown, ...codes: readonly string[]): boolean {
  return codes.includes(nodeCode(error) ?? '');
}
