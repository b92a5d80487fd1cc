// Reads an events stream as it comes: its lines, and by what they are told apart in tests.

import { deepEqual } from 'node:assert/strict';
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { eventually } from './eventually.ts';

export interface EventClient {
  readonly response: IncomingMessage;
  /** As they came so far. */
  readonly lines: string[];
  /** `node/id` of each so far; the id alone where no node is named. */
  ids(): readonly string[];
  /** Those of one node. */
  ofNode(node: string): readonly string[];
  /** Until exactly these have come. */
  shows(expected: readonly string[]): Promise<void>;
  leave(): void;
}

/** Follows the events of a Docker socket; `query` with its question mark. */
export async function followEvents(socketPath: string, query = ''): Promise<EventClient> {
  const outgoing = get({ socketPath, path: `/v1.41/events${query}` });
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  return createEventClient(response);
}

export function createEventClient(response: IncomingMessage): EventClient {
  const lines: string[] = [];
  let rest = '';
  response.setEncoding('utf8');
  response.on('error', () => undefined);
  response.on('data', (chunk: string) => {
    const whole = `${rest}${chunk}`.split('\n');
    rest = whole.pop() ?? '';
    lines.push(...whole);
  });
  const ids = (): readonly string[] => lines.map(idOf);
  return {
    response,
    lines,
    ids,
    ofNode: (node) => ids().filter((id) => id.startsWith(`${node}/`)),
    shows: (expected) => eventually(() => deepEqual(ids(), expected)),
    leave: () => void response.destroy(),
  };
}

export function idOf(line: string): string {
  const { Actor } = JSON.parse(line) as {
    readonly Actor: { readonly ID: string; readonly Attributes: Readonly<Record<string, string>> };
  };
  const node = Actor.Attributes['flotilla.node'];
  return node === undefined ? Actor.ID : `${node}/${Actor.ID}`;
}
