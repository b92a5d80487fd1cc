// Several agents on this machine, each over an engine of its own, that cluster through static seeds.

import { equal } from 'node:assert/strict';
import { type AgentUnderTest, startAgentUnderTest } from './checks.ts';
import { eventually } from './eventually.ts';
import { freePort } from './free-port.ts';
import { createSigner } from './signer.ts';

export interface TestClusterOptions {
  /** Node names; the first one is the manager. */
  readonly names: readonly string[];
  /** `FLOTILLA_CLUSTER_SECRET`; without it the cluster has none. */
  readonly secret?: string;
  /** Added to the environment of each agent. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface TestCluster extends AsyncDisposable {
  readonly members: readonly AgentUnderTest[];
  /** Fails where there is none. */
  member(nodeName: string): AgentUnderTest;
}

/** What is answered is looked at, not when: on a machine that does much else a healthy member may be late for a list. */
const patient = { FLOTILLA_NODE_TIMEOUT: '10s' };
/** Two seconds on a machine with time; agents that start beside other work miss their first dials. */
const formedWithinMs = 28_000;

/** Resolves when every agent lists every other. One signer speaks to all of them. */
export async function startTestCluster({
  names,
  secret,
  env: extra,
}: TestClusterOptions): Promise<TestCluster> {
  const signer = createSigner();
  const ports = await Promise.all(names.map(() => freePort()));
  const seeds = ports.map((port) => `127.0.0.1:${port}`).join(',');
  await using stack = new AsyncDisposableStack();
  const members: AgentUnderTest[] = [];
  for (const [at, name] of names.entries()) {
    const env = {
      ...patient,
      ...extra,
      ...(secret !== undefined && { FLOTILLA_CLUSTER_SECRET: secret }),
      FLOTILLA_GOSSIP_PORT: String(ports[at]),
      FLOTILLA_SEEDS: seeds,
    };
    const engine = { name, swarm: at === 0 ? 'manager' : 'worker' } as const;
    members.push(stack.use(await startAgentUnderTest({ engine, env, signer })));
  }
  for (const member of members) {
    await eventually(
      async () => {
        const agents = await member.request({ path: '/agents' });
        equal(JSON.parse(agents.body.toString()).length, names.length);
      },
      { withinMs: formedWithinMs, everyMs: 100 },
    );
  }
  const disposal = stack.move();
  return {
    members,
    member(nodeName) {
      const found = members.find(({ engine }) => engine.facts.name === nodeName);
      if (found === undefined) throw new Error(`no member ${nodeName}`);
      return found;
    },
    [Symbol.asyncDispose]: () => disposal.disposeAsync(),
  };
}
