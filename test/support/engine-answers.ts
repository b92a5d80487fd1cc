// What two real engines answered to the same questions (test/data/engine-answers), for merges to be held to.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FetchedPart } from '../../src/proxy/proxy.ts';

interface Recorded {
  readonly answers: Readonly<
    Record<
      string,
      Readonly<
        Record<
          string,
          { readonly status: number; readonly rawHeaders: readonly string[]; readonly body: string }
        >
      >
    >
  >;
}

const file = join(import.meta.dirname, '../data/engine-answers/20.10.json');
const recorded = JSON.parse(readFileSync(file, 'utf8')) as Recorded; // our own file

/** `question` is method and path, such as `GET /info`. */
export function recordedAnswer(node: 'node-1' | 'node-2', question: string): FetchedPart {
  const answer = recorded.answers[node]?.[question];
  if (answer === undefined) throw new Error(`no answer of ${node} to ${question} was recorded`);
  return { ...answer, body: Buffer.from(answer.body) };
}
