// Real engines with one agent from source on each: what the tests of faults, membership and load work on.
// Agents are asked as Portainer asks them; after a failed test each agent's log is printed.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { afterEach } from 'mocha';

import { eventually } from './eventually.ts';
import { getJson } from './lab/agent-client.ts';
import { type LabAgent, startAgent } from './lab/agents.ts';
import { createLab, type Lab, type LabOptions } from './lab/lab.ts';
import type { LabNode } from './lab/node.ts';
import { createSigner, type Signer } from './signer.ts';

export type AgentEnv = Readonly<Record<string, string>>;

export interface AgentLabOptions extends Pick<LabOptions, 'nodes' | 'swarm' | 'managers' | 'behindNat'> {
  /** Added to the environment of every agent. */
  readonly env?: AgentEnv;
  /** Default: a random one. `none` starts agents that share no secret. */
  readonly secret?: 'none';
}

export interface AgentLab extends AsyncDisposable {
  readonly lab: Lab;
  readonly nodes: readonly LabNode[];
  /** The Portainer that the agents belong to. */
  readonly signer: Signer;
  node(which: number): LabNode;
  /** The agent that was last started there. */
  agent(node: LabNode): LabAgent;
  start(node: LabNode, env?: AgentEnv): LabAgent;
  startAll(env?: AgentEnv): void;
  /** SIGKILL to all that run, so that the next test begins with none. */
  killAll(): Promise<void>;
  /** Until each of these agents (default: all) lists exactly them. Returns how long that took, milliseconds. */
  whole(withinMs: number, nodes?: readonly LabNode[]): Promise<number>;
  /**
   * `whole`, counted from when the last of these agents said that it is ready: how long a busy machine takes to start a
   * process is not what is looked at.
   */
  formed(withinMs: number, nodes?: readonly LabNode[]): Promise<number>;
  logs(): string;
}

/** One line of `/agents`. */
export interface ListedAgent {
  readonly NodeName: string;
  readonly NodeRole: string;
  readonly IPAddress: string;
}

/** For tests of what is answered, not of when: on a machine that does much else a healthy node may be late. */
export const patient: AgentEnv = { FLOTILLA_NODE_TIMEOUT: '15s' };
/** The gossip port of these agents; the nodes' own Swarm has the usual one. */
export const labGossipPort = 7947;
const readyWithinMs = 30_000;
const askTimeoutMs = 2_000;
const shownLogLines = 80;

export async function createAgentLab(options: AgentLabOptions): Promise<AgentLab> {
  const lab = await createLab(options);
  const agents = new Map<LabNode, LabAgent>();
  const signer = createSigner();
  const secret: AgentEnv =
    options.secret === 'none' ? {} : { FLOTILLA_CLUSTER_SECRET: randomBytes(32).toString('base64') };
  const seeds = lab.nodes.map(({ address }) => `${address}:${labGossipPort}`).join();

  const common: AgentEnv = {
    FLOTILLA_SEEDS: seeds,
    FLOTILLA_GOSSIP_PORT: String(labGossipPort),
    ...secret,
    ...options.env,
  };

  const start = (node: LabNode, env: AgentEnv = {}): LabAgent => {
    const agent = startAgent(node, { env: { ...common, ...env } });
    agents.set(node, agent);
    return agent;
  };
  const killAll = async (): Promise<void> => {
    await Promise.all([...agents.values()].map((agent) => agent.kill()));
  };
  const agentOf = (node: LabNode): LabAgent => {
    const agent = agents.get(node);
    if (agent === undefined) throw new Error(`no agent was started on ${node.name}`);
    return agent;
  };
  const whole = async (withinMs: number, nodes = lab.nodes): Promise<number> => {
    const startedMs = performance.now();
    const expected = namesOf(nodes);
    const check = async (): Promise<void> => {
      const seen = await Promise.all(nodes.map((node) => membersSeenBy(node, signer)));
      for (const names of seen) assert.deepEqual(names, expected);
    };
    await eventually(check, { withinMs, everyMs: 50 });
    return performance.now() - startedMs;
  };
  return {
    lab,
    nodes: lab.nodes,
    signer,
    node: (which) => lab.node(which),
    agent: agentOf,
    start,
    startAll: (env) => {
      for (const node of lab.nodes) start(node, env);
    },
    killAll,
    whole,
    formed: async (withinMs, nodes = lab.nodes) => {
      await Promise.all(nodes.map((node) => ready(agentOf(node))));
      return whole(withinMs, nodes);
    },
    logs: () => [...agents.values()].map(describeAgent).join('\n'),
    [Symbol.asyncDispose]: async () => {
      await killAll();
      await lab[Symbol.asyncDispose]();
    },
  };
}

/** Until the agent has said that it is ready. */
export async function ready(agent: LabAgent): Promise<void> {
  const isReady = (): boolean => {
    assert.ok(agent.running(), `the agent of ${agent.node.name} ended`);
    return agent.log().includes('"msg":"ready"');
  };
  await eventually(isReady, { withinMs: readyWithinMs });
}

/** To be called within a `describe`: what the agents wrote is the only witness of a failed test. */
export function printLogsOnFailure(agentLab: () => AgentLab | undefined): void {
  afterEach(function () {
    if (this.currentTest?.state === 'failed') process.stderr.write(`${agentLab()?.logs() ?? ''}\n`);
  });
}

export async function agentsSeenBy(node: LabNode, signer: Signer): Promise<readonly ListedAgent[]> {
  const call = { address: node.address, path: '/agents', signer, timeoutMs: askTimeoutMs };
  // Checked by what the tests do with it: a missing field is no node name.
  return (await getJson(call)) as readonly ListedAgent[];
}

/** Node names in order, each as often as it is listed. */
export async function membersSeenBy(node: LabNode, signer: Signer): Promise<readonly string[]> {
  return (await agentsSeenBy(node, signer)).map(({ NodeName }) => NodeName).toSorted();
}

export function namesOf(nodes: readonly LabNode[]): readonly string[] {
  return nodes.map(({ name }) => name).toSorted();
}

/** Figures of a test, for whoever reads its output. */
export function report(line: string): void {
  process.stdout.write(`      ${line}\n`);
}

function describeAgent(agent: LabAgent): string {
  const lines = agent.log().trimEnd().split('\n');
  const state = agent.running() ? 'running' : 'ended';
  return [
    `--- agent of ${agent.node.name} (pid ${agent.pid}, ${state})`,
    ...lines.slice(-shownLogLines),
  ].join('\n');
}
