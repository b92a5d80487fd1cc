// Decides what a console's request asks for, and what the engine is sent for it (agent-api.md 9). Pure.
// An id is hex and nothing else: it becomes part of a path at the engine (attack A-31).

import type { Answer } from '../../exchange.ts';
import type { ProxyRequest } from '../../proxy/proxy.ts';
import { errorAnswer } from '../error-response.ts';

export interface ConsoleRequest {
  readonly kind: 'exec' | 'attach';
  readonly id: string;
}

export type ConsolePlan =
  | { readonly kind: 'open'; readonly console: ConsoleRequest }
  | { readonly kind: 'refused'; readonly answer: Answer };

export interface Handshake {
  readonly upgrade: string | undefined;
  readonly key: string | undefined;
  readonly version: string | undefined;
}

/** Ids of containers and execs have 64 digits; a prefix does as well. */
const maxIdLength = 64;
/** Of the engine's words. */
const maxShownChars = 1_000;
const pathPattern = /^\/websocket\/(exec|attach)$/;
const engineHeaders: readonly string[] = [
  'Host',
  'docker',
  'Content-Type',
  'application/json',
  'Connection',
  'Upgrade',
  'Upgrade',
  'tcp',
];

/** `path` is without version and `/v1` or `/v2`; `query` begins with its question mark or is empty. */
export function planConsole(path: string, query: string, handshake: Handshake): ConsolePlan {
  const kind = pathPattern.exec(path)?.[1] === 'attach' ? 'attach' : 'exec';
  const id = new URLSearchParams(query).get('id') ?? '';
  if (id === '') return refused('Invalid query parameter: id', 'Missing query parameter');
  if (id.length > maxIdLength || !/^[0-9a-fA-F]+$/.test(id))
    return refused('Invalid query parameter: id (must be hexadecimal identifier)');
  if (!isHandshake(handshake)) return { kind: 'refused', answer: handshakeRefusal };
  return { kind: 'open', console: { kind, id } };
}

/** Whether a request asks for a websocket here: its connection must then leave Node's parser. */
export function isConsoleUpgrade(method: string, target: string, upgrade: string | undefined): boolean {
  if (method !== 'GET' || upgrade?.toLowerCase() !== 'websocket') return false;
  return /^(?:\/v\d\.\d*)?(?:\/v[12])?\/websocket\/(?:exec|attach)(?:\?|$)/.test(target);
}

export function engineRequest({ kind, id }: ConsoleRequest): ProxyRequest {
  if (kind === 'attach') {
    const path = `/containers/${id}/attach?stdin=1&stdout=1&stderr=1&stream=1`;
    return { method: 'POST', path, rawHeaders: [...engineHeaders, 'Content-Length', '0'] };
  }
  const body = Buffer.from('{"Tty":true,"Detach":false}\n');
  const rawHeaders = [...engineHeaders, 'Content-Length', String(body.length)];
  return { method: 'POST', path: `/exec/${id}/start`, rawHeaders, body };
}

/** The engine's own words for why there is no console, in the shape of this listener. */
export function engineRefusal(status: number, body: Buffer): Answer {
  return errorAnswer(status >= 400 ? status : 502, messageIn(body) ?? 'The engine opened no console');
}

function isHandshake({ upgrade, key, version }: Handshake): boolean {
  const is13 = version === '13';
  return upgrade?.toLowerCase() === 'websocket' && is13 && /^[+/0-9A-Za-z]{22}==$/.test(key ?? '');
}

const handshakeRefusal: Answer = {
  status: 400,
  headers: ['Content-Type', 'text/plain; charset=utf-8', 'Sec-Websocket-Version', '13'],
  body: 'Bad Request\n',
};

function refused(message: string, details?: string): ConsolePlan {
  return { kind: 'refused', answer: errorAnswer(400, message, details) };
}

/** An error of an attach is a line of text, all others are JSON. */
function messageIn(body: Buffer): string | undefined {
  const text = body.toString('utf8');
  // Between the marks of a chunked body stands one object.
  const message = messageOf(text.slice(text.indexOf('{'), text.lastIndexOf('}') + 1)) ?? text.split('\n')[0];
  const shown = message?.trim().slice(0, maxShownChars);
  return shown === '' ? undefined : shown;
}

function messageOf(json: string): string | undefined {
  try {
    const value: unknown = JSON.parse(json);
    if (typeof value !== 'object' || value === null || !('message' in value)) return undefined;
    return typeof value.message === 'string' ? value.message : undefined;
  } catch {
    // Not the engine's own form of an error.
    return undefined;
  }
}
