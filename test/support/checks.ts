// What the conformance and security suites share: one agent over one fake engine per suite, and the assertions on both.
// The fake engine serves what a real one cannot give on demand, such as faults and records of what arrived.

import { deepEqual, equal, fail, match } from 'node:assert/strict';
import type { Received } from './engine/exchange.ts';
import { greeting } from './engine/hijack.ts';
import type { FakeContainer } from './engine/model.ts';
import { eventually } from './eventually.ts';
import { type FakeEngine, type FakeEngineOptions, startFakeEngine } from './fake-engine.ts';
import { connectRaw, type RawAnswer, type RawConnection, type RawRequest, requestRaw } from './raw-http.ts';
import { createSigner, type Signer } from './signer.ts';
import { type LogLine, type SpawnAgentOptions, type SpawnedAgent, spawnAgent } from './spawn-agent.ts';
import type { ErrorBody } from './vectors.ts';

export const ttyContainer: FakeContainer = {
  id: 'a'.repeat(64),
  name: 'web',
  tty: true,
  createdSeconds: 1_700_000_000,
};

export interface AgentUnderTest extends AsyncDisposable {
  readonly agent: SpawnedAgent;
  readonly engine: FakeEngine;
  /** The one whose key the agent is associated with after the first signed request. */
  readonly signer: Signer;
  /** A signed request on a connection of its own. */
  request(request: RawRequest): Promise<RawAnswer>;
  /** A connection to the compat listener. */
  connect(): Promise<RawConnection>;
  /** What reached the engine because of a client, without the agent's own queries. */
  forwarded(): readonly Received[];
}

export interface AgentUnderTestOptions {
  readonly engine?: FakeEngineOptions;
  readonly env?: SpawnAgentOptions['env'];
  readonly dataPath?: string;
  readonly signer?: Signer;
}

export async function startAgentUnderTest(options: AgentUnderTestOptions = {}): Promise<AgentUnderTest> {
  const engine = await startFakeEngine(options.engine);
  engine.state.containers = [ttyContainer];
  let agent: SpawnedAgent;
  try {
    agent = await spawnAgent({
      engineSocket: engine.socketPath,
      ...(options.env !== undefined && { env: options.env }),
      ...(options.dataPath !== undefined && { dataPath: options.dataPath }),
    });
  } catch (error) {
    await engine[Symbol.asyncDispose]();
    throw error;
  }
  const signer = options.signer ?? createSigner();
  return {
    agent,
    engine,
    signer,
    request: (request) =>
      requestRaw(agent.compat, { ...request, headers: { ...signer.headers(), ...request.headers } }),
    connect: () => connectRaw(agent.compat),
    forwarded: () => engine.received().filter((one) => one.headers.has(clientMark)),
    async [Symbol.asyncDispose]() {
      try {
        await agent[Symbol.asyncDispose]();
      } finally {
        await engine[Symbol.asyncDispose]();
      }
    },
  };
}

/** Any header works as mark that the agent passes on and does not send by itself. */
export const clientMark = 'x-client-mark';
export const mark: Readonly<Record<string, string>> = { 'X-Client-Mark': 'test' };

/** One agent and engine for all tests of a `describe`; a failed test shows the agent's log. */
export function useAgent(options: AgentUnderTestOptions = {}): () => AgentUnderTest {
  let under: AgentUnderTest | undefined;

  before(async function () {
    this.timeout(30_000);
    under = await startAgentUnderTest(options);
  });

  afterEach(function () {
    if (this.currentTest?.state === 'failed') under?.agent.printLog();
  });

  after(async function () {
    this.timeout(30_000);
    await under?.[Symbol.asyncDispose]();
  });

  return () => under ?? fail('the agent is used before it was started');
}

export function assertErrorBody(answer: RawAnswer, status: number, body: ErrorBody): void {
  equal(answer.status, status);
  equal(answer.headers.get('content-type'), 'application/json');
  deepEqual(JSON.parse(answer.body.toString()), body);
}

/** The three headers of agent-api.md section 4, each exactly once. */
export function assertAgentHeaders(answer: { readonly rawHeaders: readonly string[] }): void {
  const values = new Map<string, string[]>();
  for (let at = 0; at < answer.rawHeaders.length; at += 2) {
    const name = (answer.rawHeaders[at] ?? '').toLowerCase();
    values.set(name, [...(values.get(name) ?? []), answer.rawHeaders[at + 1] ?? '']);
  }
  equal(values.get('portainer-agent')?.length, 1);
  match(values.get('portainer-agent')?.[0] ?? '', /^\d+\.\d+\.\d+$/);
  deepEqual(values.get('portainer-agent-api-version'), ['2']);
  deepEqual(values.get('portainer-agent-platform'), ['1']);
}

/** A log line that came after this many others, and names a reason; `reason` narrows it down. */
export function assertLoggedReason(
  agent: SpawnedAgent,
  linesBefore: number,
  reason?: RegExp,
): Promise<LogLine> {
  return eventually(() => {
    const found = agent
      .logLines()
      .slice(linesBefore)
      .find((line) => typeof line.reason === 'string' && (reason?.test(line.reason) ?? true));
    return found ?? fail(`no log line with reason ${reason ?? ''} after the attack`);
  });
}

export interface ExecOptions {
  readonly tty?: boolean;
  /** Added to the request. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** Makes an exec at the engine through the agent, and returns its id. */
export async function createExec(
  under: AgentUnderTest,
  command: string,
  { tty = true, headers = {} }: ExecOptions = {},
): Promise<string> {
  const answer = await under.request({
    method: 'POST',
    path: `/containers/${ttyContainer.name}/exec`,
    headers: { 'Content-Type': 'application/json', ...headers },
    body: JSON.stringify({ Cmd: [command], Tty: tty, AttachStdin: true, AttachStdout: true }),
  });
  equal(answer.status, 201, answer.body.toString());
  // Our own fake engine answered this.
  return (JSON.parse(answer.body.toString()) as { Id: string }).Id;
}

export interface Hijacked {
  readonly connection: RawConnection;
  readonly startLine: string;
}

/** Starts the exec with or without `Upgrade`, and reads up to the greeting that every command sends first. */
export async function startExec(
  under: AgentUnderTest,
  id: string,
  { upgrade, tty = true, headers = {} }: ExecOptions & { readonly upgrade: boolean },
): Promise<Hijacked> {
  const connection = await under.connect();
  await connection.request({
    method: 'POST',
    path: `/exec/${id}/start`,
    headers: {
      ...under.signer.headers(),
      'Content-Type': 'application/json',
      ...headers,
      ...(upgrade && { Connection: 'Upgrade', Upgrade: 'tcp' }),
    },
    body: JSON.stringify({ Detach: false, Tty: tty }),
  });
  const head = await connection.head();
  equal((await connection.reader.exactly(greeting.length)).toString(), greeting);
  return { connection, startLine: head.startLine };
}
