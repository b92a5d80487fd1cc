// Turns what the file system says into our error: a reason that people understand, and never a path of ours.

import { AgentError, nodeCode } from '../errors.ts';

/** ENOENT and its like, in the words of the system. */
const texts: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EAGAIN: 'the system is short of what it needs, try again',
  EBUSY: 'it is in use',
  ECONNABORTED: 'its mount has lost its server',
  EDQUOT: 'the quota is used up',
  EEXIST: 'a folder of this name exists',
  EFBIG: 'the file is too large for this file system',
  EHOSTDOWN: 'its mount has lost its server',
  EINVAL: 'not possible here',
  EIO: 'the disk failed to read or write',
  EISDIR: 'it is a folder',
  ELOOP: 'too many links',
  EMFILE: 'too many open files',
  ENAMETOOLONG: 'the name is too long',
  ENOENT: 'no such file or directory',
  ENOSPC: 'no space left on device',
  ENOTCONN: 'its mount has lost its server',
  ENOTDIR: 'not a directory',
  ENOTEMPTY: 'the directory is not empty',
  EPERM: 'operation not permitted',
  EROFS: 'the file system is read-only',
  ESTALE: 'its server does not know it any more',
  ETIMEDOUT: 'its server does not answer',
  ETXTBSY: 'it is being executed',
  EXDEV: 'it would have to go to another file system, where only a copy can',
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
