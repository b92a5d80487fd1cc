// Asks one agent for the merged list of containers, many times and side by side, over kept connections.
// Says when each answer was asked for and came, what it held, and who was missing from it.

import { Pool } from 'undici';

import type { LabNode } from './lab/node.ts';
import type { Signer } from './signer.ts';

export interface ListedContainer {
  readonly id: string;
  readonly nodeName: string;
}

/** `performance.now()` when something was asked for, and when the last byte of the answer had come. */
export interface Span {
  readonly startedMs: number;
  readonly endedMs: number;
}

export interface ListAnswer extends Span {
  readonly status: number;
  readonly containers: readonly ListedContainer[];
  /** `Flotilla-Nodes`, as it came. */
  readonly nodes: string;
  /** Node name and reason of each missing node, by `Flotilla-Missing`. */
  readonly missing: readonly { readonly node: string; readonly reason: string }[];
}

export interface ListClient extends AsyncDisposable {
  list(): Promise<ListAnswer>;
  /** The list of the agent's own engine alone, which no other node can slow down: the ruler beside `list`. */
  ownList(): Promise<Span>;
}

const agentPort = 9001;
const listPath = '/containers/json?all=1';
/** A list that takes longer is a failure whatever the test is about. */
const answerWithinMs = 30_000;

/** One signature serves all requests, as Portainer's does for its browser's: signing is not what is looked at. */
export function createListClient(node: LabNode, signer: Signer, connections = 1): ListClient {
  const pool = new Pool(`https://${node.address}:${agentPort}`, {
    connections,
    pipelining: 1,
    connect: { rejectUnauthorized: false },
    headersTimeout: answerWithinMs,
    bodyTimeout: answerWithinMs,
  });
  const headers = signer.headers();
  return {
    list: async () => {
      const startedMs = performance.now();
      const answer = await pool.request({ method: 'GET', path: listPath, headers });
      const text = await answer.body.text();
      const endedMs = performance.now();
      const { statusCode: status } = answer;
      if (status !== 200) throw new Error(`list of ${node.name}: ${status} ${text.slice(0, 300)}`);
      const nodes = String(answer.headers['flotilla-nodes'] ?? '');
      const missing = parseMissing(String(answer.headers['flotilla-missing'] ?? ''));
      return { startedMs, endedMs, status, containers: parseContainers(text), nodes, missing };
    },
    ownList: async () => {
      const startedMs = performance.now();
      const own = { ...headers, 'X-PortainerAgent-Target': node.name };
      const answer = await pool.request({ method: 'GET', path: listPath, headers: own });
      await answer.body.text();
      if (answer.statusCode !== 200) throw new Error(`own list of ${node.name}: ${answer.statusCode}`);
      return { startedMs, endedMs: performance.now() };
    },
    [Symbol.asyncDispose]: () => pool.destroy(),
  };
}

/** Lists asked for again and again until the disposal, which throws what failed among them. */
export interface ListWatch extends AsyncDisposable {
  /** In the order of their ends. */
  readonly answers: readonly ListAnswer[];
  /** The agent's own lists, one behind each of the answers. */
  readonly ownLists: readonly Span[];
  /** Those asked for at or after this time. */
  since(ms: number): readonly ListAnswer[];
}

/** `loops` clients, each of which pauses behind every answer: a steady load that leaves the machine room. */
export function watchLists(
  client: ListClient,
  { loops, pauseMs }: { loops: number; pauseMs: number },
): ListWatch {
  const answers: ListAnswer[] = [];
  const ownLists: Span[] = [];
  let ended = false;
  const loop = async (): Promise<void> => {
    while (!ended) {
      answers.push(await client.list());
      ownLists.push(await client.ownList());
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  };
  const running = Promise.all(Array.from({ length: loops }, loop));
  // Thrown at the disposal.
  running.catch(() => undefined);
  return {
    answers,
    ownLists,
    since: (ms) => answers.filter(({ startedMs }) => startedMs >= ms),
    [Symbol.asyncDispose]: async () => {
      ended = true;
      await running;
    },
  };
}

/** Those that began and ended within this time. */
export function withinWindow(spans: readonly Span[], fromMs: number, toMs: number): readonly Span[] {
  return spans.filter(({ startedMs, endedMs }) => startedMs >= fromMs && endedMs < toMs);
}

/** How long an answer took, milliseconds. */
export function tookMs({ startedMs, endedMs }: Span): number {
  return endedMs - startedMs;
}

/** The value that this share of the others does not exceed; 0.5 is the median. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  if (value === undefined) throw new RangeError('quantile of nothing');
  return value;
}

function parseContainers(text: string): readonly ListedContainer[] {
  const items: unknown = JSON.parse(text);
  if (!Array.isArray(items)) throw new Error(`a list was expected: ${text.slice(0, 300)}`);
  return items.map((item: ContainerItem) => ({ id: item.Id, nodeName: item.Portainer.Agent.NodeName }));
}

/** What a decorated item holds; one without it fails the test by a TypeError. */
interface ContainerItem {
  readonly Id: string;
  readonly Portainer: { readonly Agent: { readonly NodeName: string } };
}

function parseMissing(header: string): ListAnswer['missing'] {
  const items = header.split(', ').filter((item) => item !== '');
  return items.map((item) => ({
    node: item.split(';')[0] ?? '',
    reason: /;reason=([a-z-]+)/.exec(item)?.[1] ?? '',
  }));
}
