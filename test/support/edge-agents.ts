// Real agents in Edge mode over fake engines: one alone, or several that cluster through static seeds.

import { dirname, join } from 'node:path';
import type { SwarmState } from './engine/model.ts';
import { eventually } from './eventually.ts';
import { type FakeEngine, startFakeEngine } from './fake-engine.ts';
import { freePort } from './free-port.ts';
import { type RawAddress, type RawAnswer, type RawRequest, requestRaw } from './raw-http.ts';
import { type SpawnedAgent, spawnAgent } from './spawn-agent.ts';

/** What did not come to a member is sent again, at the latest after 30 s. */
export const spreadWithin = { withinMs: 60_000, everyMs: 50 };
export const testEdgeId = '7e2b0a0d-0f0e-4f0c-9a57-3f7c2d0b6c11';

export interface EdgeAgentOptions {
  readonly name?: string;
  readonly swarm?: SwarmState;
  readonly env?: Readonly<Record<string, string>>;
  readonly dataPath?: string;
}

export interface EdgeAgentUnderTest extends AsyncDisposable {
  readonly agent: SpawnedAgent;
  readonly engine: FakeEngine;
  /** Plain HTTP, unlike outside Edge mode. */
  readonly api: RawAddress;
  readonly keyFile: string;
  /** To the API, as it is: unsigned unless the headers are. */
  request(request: RawRequest): Promise<RawAnswer>;
  /** Fails while the page is not open. */
  page(): RawAddress;
}

export async function startEdgeAgent(options: EdgeAgentOptions = {}): Promise<EdgeAgentUnderTest> {
  const { name = 'node1', swarm = 'inactive', dataPath } = options;
  await using stack = new AsyncDisposableStack();
  const engine = stack.use(await startFakeEngine({ name, swarm }));
  const agent = stack.use(
    await spawnAgent({
      engineSocket: engine.socketPath,
      ...(dataPath !== undefined && { dataPath }),
      env: {
        EDGE: '1',
        EDGE_ID: testEdgeId,
        EDGE_SERVER_HOST: '127.0.0.1',
        EDGE_SERVER_PORT: '0',
        TZ: 'UTC',
        ...options.env,
      },
    }),
  );
  const { host, port } = agent.compat;
  const api: RawAddress = { kind: 'tcp', host, port };
  const disposal = stack.move();
  return {
    agent,
    engine,
    api,
    keyFile: join(dataPath ?? dirname(agent.controlSocket), 'agent_edge_key'),
    request: (request) => requestRaw(api, request),
    page(): RawAddress {
      const line = agent
        .logLines()
        .find(({ msg, listener }) => msg === 'listening' && listener === 'edge-page');
      if (line === undefined) throw new Error('the edge page does not listen');
      return { kind: 'tcp', host: '127.0.0.1', port: Number(line.port) };
    },
    [Symbol.asyncDispose]: () => disposal.disposeAsync(),
  };
}

export interface EdgeClusterOptions {
  readonly members: readonly { readonly name: string; readonly swarm: SwarmState }[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface EdgeCluster extends AsyncDisposable {
  readonly members: readonly EdgeAgentUnderTest[];
}

/** Resolves when every agent says that it sees every other. */
export async function startEdgeCluster({ members, env }: EdgeClusterOptions): Promise<EdgeCluster> {
  await using stack = new AsyncDisposableStack();
  const ports = await Promise.all(members.map(() => freePort()));
  const seeds = ports.map((port) => `127.0.0.1:${port}`).join(',');
  const started: EdgeAgentUnderTest[] = [];
  for (const [at, member] of members.entries()) {
    const own = { FLOTILLA_GOSSIP_PORT: String(ports[at]), FLOTILLA_SEEDS: seeds };
    started.push(stack.use(await startEdgeAgent({ ...member, env: { ...own, ...env } })));
  }
  for (const { agent } of started) {
    await eventually(
      async () => {
        const { body } = await requestRaw(agent.metrics, { path: '/readyz' });
        return (JSON.parse(body.toString()) as { members: number }).members === members.length;
      },
      { withinMs: 20_000, everyMs: 100 },
    );
  }
  const disposal = stack.move();
  return { members: started, [Symbol.asyncDispose]: () => disposal.disposeAsync() };
}
