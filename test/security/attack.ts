// What every attack must end in: nothing of it at the engine, a refusal to the attacker, and a log line with a reason.

import { deepEqual, equal, match } from 'node:assert/strict';
import { type AgentUnderTest, assertLoggedReason, mark } from '../support/checks.ts';
import { eventually } from '../support/eventually.ts';
import { exchangeRaw, requestRaw } from '../support/raw-http.ts';
import type { LogLine } from '../support/spawn-agent.ts';

/** The reasons of a refused signature. */
export const signatureReason: RegExp = /^(?:missing|malformed-key|malformed-signature|mismatch|other-key)$/;

export interface RefusalOptions {
  /** Statuses that count as refusal; a closed connection without an answer always does. */
  readonly statuses?: readonly number[];
  readonly reason?: RegExp;
}

/** Sends the bytes and checks that they were refused. The first answer decides; nothing may follow it. */
export async function assertRefused(
  under: AgentUnderTest,
  bytes: string | Buffer,
  { statuses = [400], reason }: RefusalOptions = {},
): Promise<LogLine> {
  await warmUp(under);
  const linesBefore = under.agent.logLines().length;
  const answer = await exchangeRaw(under.agent.compat, bytes);
  const found = [...answer.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status));
  equal(found.length <= 1, true, `more than one answer:\n${answer}`);
  if (found[0] !== undefined) equal(statuses.includes(found[0]), true, `refusal expected:\n${answer}`);
  else equal(answer, '', 'a closed connection says nothing');
  await assertStillWorks(under);
  deepEqual(
    under.forwarded().map(({ target }) => target),
    [],
  );
  const line = await assertLoggedReason(under.agent, linesBefore, reason);
  return line;
}

/** Associates the agent with the signer and forgets what the engine saw so far. */
export async function warmUp(under: AgentUnderTest): Promise<void> {
  equal((await under.request({ path: '/_ping' })).status, 200);
  under.engine.forget();
}

/** After an attack the agent answers others as before. */
export async function assertStillWorks(under: AgentUnderTest): Promise<void> {
  equal((await requestRaw(under.agent.compat, { path: '/ping' })).status, 204);
  equal((await under.request({ path: '/_ping' })).status, 200);
  equal(under.agent.running(), true);
}

/** The head of a signed and marked request, with the lines as they are given, up to and without the empty line. */
export function signedHead(under: AgentUnderTest, requestLine: string, ...lines: readonly string[]): string {
  const signed = Object.entries({ ...under.signer.headers(), ...mark }).map(
    ([name, value]) => `${name}: ${value}`,
  );
  return [requestLine, 'Host: agent', ...signed, ...lines, ''].join('\r\n');
}

/** A second request in the bytes of the first, signed as well: the worst that a smuggler could get through. */
export function smuggled(under: AgentUnderTest): string {
  return `${signedHead(under, 'GET /smuggled HTTP/1.1')}\r\n`;
}

/** No line of the log breaks out of its line, or speaks to a terminal. */
export async function assertCleanLog(under: AgentUnderTest, expected: RegExp): Promise<void> {
  await eventually(() => match(under.agent.logText(), expected));
  for (const line of under.agent.logText().split('\n').filter(Boolean)) {
    equal(typeof JSON.parse(line), 'object', line);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
    equal(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/.test(line), false, `control character in: ${line}`);
  }
}
