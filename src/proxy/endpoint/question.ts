// Builds the question that one call puts to many engines: the call's own, in the API version that each is asked in.
// Pure.

import type { Answer } from '../../exchange.ts';
import { type ProxyRequest, versioned } from '../proxy.ts';
import type { Pace, Question } from './ask.ts';
import type { EndpointCall } from './call.ts';
import { toJson } from './exact-json.ts';
import { mergeVersion } from './versions.ts';

export interface QuestionParts {
  readonly pace: Pace;
  /** The call's own when left out. */
  readonly method?: string;
  /** With its escapes; the call's own when left out. */
  readonly rawPath?: string;
  /** With the question mark, or empty; the call's own when left out. */
  readonly query?: string;
  readonly only?: Question['only'] | undefined;
}

export function questionOf(call: EndpointCall, parts: QuestionParts): Question {
  const {
    rawPath = call.target.rawPath,
    query = call.target.query,
    method = call.method,
    pace,
    only,
  } = parts;
  const rawHeaders = travellingHeaders(call.rawHeaders);
  const to: Question['to'] = (member): ProxyRequest => {
    const number = mergeVersion(call.view, member, call.target.version?.replace(/^v/, ''));
    const version = number === undefined ? undefined : `v${number}`;
    return { method, path: versioned({ path: rawPath, rawPath, query, version }), rawHeaders };
  };
  return only === undefined ? { to, pace } : { to, pace, only };
}

/**
 * Nothing is sent behind the head, and what comes back is read here, so nobody may compress it. Registry credentials are
 * for one node that is to use them (engine-api.md 1.16), and no question to many is about a registry.
 */
function travellingHeaders(rawHeaders: readonly string[]): readonly string[] {
  const kept: string[] = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? '';
    if (!staysHere.has(name.toLowerCase())) kept.push(name, rawHeaders[i + 1] ?? '');
  }
  return kept;
}

const staysHere: ReadonlySet<string> = new Set([
  'accept-encoding',
  'content-encoding',
  'content-length',
  'content-type',
  'transfer-encoding',
  'x-registry-auth',
  'x-registry-config',
]);

/** A merged answer in the engine's form; `headers` say who is missing. */
export function jsonAnswer(value: unknown, headers: readonly string[]): Answer {
  return { status: 200, headers: ['Content-Type', 'application/json', ...headers], body: toJson(value) };
}
