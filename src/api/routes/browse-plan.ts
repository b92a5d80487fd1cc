// Decides what a browse request asks for, and what its failures are called (agent-api.md 10). Pure.
// Queries are read as bytes: a file name need not be UTF-8.

import type { AgentError } from '../../errors.ts';
import type { Answer } from '../../exchange.ts';
import { errorAnswer } from '../error-response.ts';

export type BrowseAction = 'ls' | 'get' | 'delete' | 'rename' | 'put';

export interface BrowseRequest {
  readonly version: 1 | 2;
  readonly action: BrowseAction;
  /** Empty for the host. Undefined where Portainer may have read another volume than we would: not to be served. */
  readonly volumeId: string | undefined;
  /** Undefined where it was not given, or given empty. */
  readonly path: Buffer | undefined;
}

/** `route` is `GET /browse/ls`, or in v1 `GET /browse/<volume>/ls`; undefined for routes of others. */
export function readBrowseRequest(route: string, url: string): BrowseRequest | undefined {
  const found = /^[A-Z]+ \/browse\/(?:([^/]+)\/)?(ls|get|delete|rename|put)$/s.exec(route);
  if (found === null) return undefined;
  const mark = url.indexOf('?');
  const query = mark === -1 ? '' : url.slice(mark + 1);
  const path = readParameter(query, 'path');
  return {
    version: found[1] === undefined ? 2 : 1,
    // The expression names exactly the members of this type.
    action: found[2] as BrowseAction,
    volumeId: found[1] ?? readVolumeId(query),
    path: path?.length === 0 ? undefined : path,
  };
}

/** The first one of this name. A pair that is no proper escape, or holds a semicolon, counts as absent, as in Go. */
export function readParameter(query: string, name: string): Buffer | undefined {
  return readParameters(query, name).find((value) => value !== undefined);
}

/** All of this name in their order; undefined for a pair that Go leaves out. */
function readParameters(query: string, name: string): readonly (Buffer | undefined)[] {
  return query.split('&').flatMap((pair) => {
    const equals = pair.indexOf('=');
    const key = equals === -1 ? pair : pair.slice(0, equals);
    if (toBytes(key)?.toString('utf8') !== name) return [];
    return [pair.includes(';') ? undefined : toBytes(equals === -1 ? '' : pair.slice(equals + 1))];
  });
}

/**
 * Portainer admits users by the first volume that it reads, and without one only administrators: whatever could be read in
 * two ways is undefined, never the host.
 */
function readVolumeId(query: string): string | undefined {
  const values = readParameters(query, 'volumeID');
  if (values.length === 0) return '';
  return values.length === 1 ? values[0]?.toString('utf8') : undefined;
}

function toBytes(text: string): Buffer | undefined {
  if (/%(?![0-9a-fA-F]{2})/.test(text)) return undefined;
  const bytes = text
    .replaceAll('+', ' ')
    .replace(/%([0-9a-fA-F]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
  // Node gives the request target as Latin-1: one character is one byte.
  return Buffer.from(bytes, 'latin1');
}

const messages: Readonly<Record<BrowseAction, string>> = {
  ls: 'Unable to list files inside specified directory',
  get: 'Unable to open file',
  delete: 'Unable to remove file',
  rename: 'Unable to rename file',
  put: 'Error saving file to disk',
};

export function browseFailure({ version, action }: BrowseRequest, error: AgentError): Answer {
  if (error.code === 'request-invalid')
    return errorAnswer(400, version === 1 ? badPath : 'Invalid volume', error.message);
  // Another try may find that it does.
  if (error.code === 'timeout')
    return errorAnswer(503, messages[action], 'the disk or the engine does not answer');
  // Of the engine's failures and our own a client learns the code only; their messages name paths.
  const isTold = error.code === 'unavailable' || error.code === 'limit-exceeded';
  return errorAnswer(500, messages[action], isTold ? error.message : error.code);
}

const badPath = 'Invalid query parameter: path';

export function missingPath(): Answer {
  return errorAnswer(400, badPath, 'Missing query parameter');
}

export function badPayload(details: string): Answer {
  return errorAnswer(400, 'Invalid request payload', details);
}

/** The words of agent 1.5.1, which Portainer's older versions know. */
export function hostBrowseOff(): Answer {
  return errorAnswer(503, 'Host management capability disabled');
}

/** A rename's body. Go matches member names in any case, and so do its clients. */
export function readRename(
  body: string,
):
  | { readonly kind: 'ok'; readonly from: string; readonly to: string }
  | { readonly kind: 'bad'; readonly details: string } {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return { kind: 'bad', details: body.trim() === '' ? 'EOF' : 'invalid JSON' };
  }
  if (typeof value !== 'object' || value === null) return { kind: 'bad', details: 'invalid JSON' };
  const members = new Map(
    Object.entries(value).map(([name, member]) => [name.toLowerCase(), member as unknown]),
  );
  const from = members.get('currentfilepath');
  const to = members.get('newfilepath');
  if (typeof from !== 'string' || from === '')
    return { kind: 'bad', details: 'current file path is invalid' };
  if (typeof to !== 'string' || to === '') return { kind: 'bad', details: 'new file path is invalid' };
  return { kind: 'ok', from, to };
}
