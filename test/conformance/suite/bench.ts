// What a row of the suite works with: one agent at a URL, asked as Portainer asks it, and what else the machine at hand
// can do with it. A row says what it needs; where that is missing it is not run, and the table says so.

import { equal } from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type ConsoleClient, openConsole } from '../../support/console-client.ts';
import { eventually } from '../../support/eventually.ts';
import {
  connectRaw,
  type RawAddress,
  type RawAnswer,
  type RawConnection,
  type RawRequest,
  requestRaw,
} from '../../support/raw-http.ts';
import type { Signer } from '../../support/signer.ts';
import { type Item, type MadeContainer, makeContainer, post, steer, target } from './containers.ts';
import { createLedger, type Ledger } from './ledger.ts';

export type TlsAddress = RawAddress & { readonly kind: 'tls' };

/** An agent of the same make beside the one under test, over a standalone engine, which the row may spoil. */
export interface FreshAgent extends AsyncDisposable {
  readonly compat: TlsAddress;
  running(): boolean;
  logText(): string;
}

/** What a URL alone does not give. */
export interface Abilities {
  /** Starts another agent with this environment; `recorded` is told what its engine receives. */
  readonly fresh?: (
    env: Readonly<Record<string, string>>,
    recorded?: (bytes: Buffer) => void,
  ) => Promise<FreshAgent>;
  /** Ends the agent of a node without a word, and starts it again until all see each other. */
  readonly kill?: (node: string) => Promise<void>;
  readonly restart?: (node: string) => Promise<void>;
  readonly promote?: (node: string) => Promise<void>;
  readonly demote?: (node: string) => Promise<void>;
  /** Resident memory of the agent on that node; of the one under test where the name is empty. */
  readonly residentBytes?: (node: string) => Promise<number>;
  /** A docker CLI that can reach the agent. */
  readonly docker?: (args: readonly string[]) => Promise<string>;
  /** Starts a server that plays Docker Hub, where fresh agents can reach it. */
  readonly hub?: (
    respond: (path: string) => HubAnswer,
  ) => Promise<AsyncDisposable & { readonly url: string }>;
}

export interface HubAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface BenchOptions {
  readonly address: TlsAddress;
  readonly signer: Signer;
  /** `AGENT_SECRET` of the agent, where it has one. */
  readonly secret?: string;
  /** Has a shell; present on every node. */
  readonly image: string;
  readonly long: boolean;
  readonly abilities: Abilities;
  /** For who must be able to remove what was made while the bench is still being set up. It then belongs to the bench. */
  readonly ledger?: Ledger;
}

export interface Box {
  /** Node name; empty where the agent stands alone. */
  readonly node: string;
  readonly id: string;
  readonly name: string;
  /** Mounted at `/v`. */
  readonly volume: string;
}

export interface SwarmFacts {
  /** The node whose agent is asked. */
  readonly entry: string;
  readonly others: readonly string[];
  readonly managers: readonly string[];
}

export interface Bench extends BenchOptions, AsyncDisposable {
  readonly swarm: SwarmFacts | undefined;
  /** One running container on each node, the entry's first. */
  readonly boxes: readonly Box[];
  /** A signed request on a connection of its own. */
  ask(request: RawRequest): Promise<RawAnswer>;
  /** The body of a 200 as JSON. */
  json(path: string, headers?: RawRequest['headers']): Promise<unknown>;
  connect(): Promise<RawConnection>;
  console(path: string, target?: string): Promise<ConsoleClient>;
  /** The box of that node; the entry's without one. */
  box(node?: string): Box;
  /** Makes an exec there, and returns its id. */
  exec(box: Box, cmd: readonly string[], tty?: boolean): Promise<string>;
  /** Runs a command there to its end; fails when that is not 0. */
  runIn(box: Box, cmd: readonly string[]): Promise<void>;
  /** Makes and starts one more container of the image there, which goes with what is returned, or with the bench. */
  container(node: string, options: Item): Promise<MadeContainer>;
  /** For what is made in other ways: removed with what is returned, or with the bench. */
  owe: Ledger['owe'];
}

export { type Item, steer, target };

export const managerOperation = 'X-PortainerAgent-ManagerOperation';

export async function createBench(options: BenchOptions): Promise<Bench> {
  const { address, signer } = options;
  const ask = (request: RawRequest): Promise<RawAnswer> =>
    requestRaw(address, { ...request, headers: { ...signer.headers(), ...request.headers } });
  const json = async (path: string, headers: RawRequest['headers'] = {}): Promise<unknown> => {
    const answer = await ask({ path, headers });
    equal(answer.status, 200, `${path}: ${answer.status} ${answer.body.toString().slice(0, 300)}`);
    return JSON.parse(answer.body.toString());
  };
  const swarm = await findSwarm(ask, json);
  const prefix = `flotilla-conformance-${randomBytes(4).toString('hex')}`;
  await using stack = new AsyncDisposableStack();
  const ledger = stack.use(options.ledger ?? createLedger());
  const boxes: Box[] = [];
  let containersMade = 0;
  const exec: Bench['exec'] = async ({ id, node }, Cmd, Tty = true) => {
    const made = await post(ask, `/containers/${id}/exec`, node, {
      Cmd,
      Tty,
      AttachStdin: true,
      AttachStdout: true,
      AttachStderr: true,
    });
    return String(made.Id);
  };
  const bench: Bench = {
    ...options,
    swarm,
    boxes,
    ask,
    json,
    connect: () => connectRaw(address),
    console: (path, node = '') => openConsole({ ...address, path, signer, target: node }),
    box(node = swarm?.entry ?? ''): Box {
      const found = boxes.find((one) => one.node === node);
      if (found === undefined) throw new Error(`no container was made on ${node}`);
      return found;
    },
    exec,
    async runIn(box, cmd) {
      const id = await exec(box, cmd, false);
      await post(ask, `/exec/${id}/start`, box.node, { Detach: true });
      await eventually(async () => {
        const state = (await json(`/exec/${id}/json`, steer(box.node))) as Item;
        if (state.Running !== false) return false;
        equal(state.ExitCode, 0, cmd.join(' '));
        return true;
      });
    },
    container(node, more) {
      containersMade += 1;
      const name = `${prefix}-more-${containersMade}`;
      return makeContainer(ask, ledger, { name, node, options: { Image: options.image, ...more } });
    },
    owe: (remove) => ledger.owe(remove),
    [Symbol.asyncDispose]: () => ledger[Symbol.asyncDispose](),
  };
  const nodes = swarm === undefined ? [''] : [swarm.entry, ...swarm.others];
  for (const node of nodes) {
    const name = `${prefix}${node === '' ? '' : `-${node}`}`;
    const volume = `${name}-data`;
    const { id } = await makeContainer(ask, ledger, {
      name,
      node,
      volume,
      options: {
        Image: options.image,
        Cmd: ['sleep', '1000000'],
        StopSignal: 'SIGKILL',
        HostConfig: { Binds: [`${volume}:/v`], Init: false },
      },
    });
    boxes.push({ node, id, name, volume });
  }
  stack.move();
  return bench;
}

/** A list, whichever of the two forms it has. */
export function itemsOf(answer: unknown): readonly Item[] {
  // Rows look at what they need of the items, and fail where it is missing.
  const list = Array.isArray(answer) ? answer : (answer as { readonly Volumes?: unknown }).Volumes;
  if (!Array.isArray(list)) throw new Error(`no list: ${JSON.stringify(answer).slice(0, 200)}`);
  return list;
}

/** The node that an item says it is on; undefined where it is not decorated. */
export function nodeOf(item: Item): string | undefined {
  const portainer = item.Portainer as { readonly Agent?: { readonly NodeName?: string } } | undefined;
  return portainer?.Agent?.NodeName;
}

export function messageOf({ body }: RawAnswer): string {
  return String((JSON.parse(body.toString()) as Item).message);
}

/** The entry is the node whose name as a target gives a list without decoration. */
async function findSwarm(ask: Bench['ask'], json: Bench['json']): Promise<SwarmFacts | undefined> {
  const answer = await ask({ path: '/agents' });
  if (answer.status !== 200) return undefined;
  const agents = JSON.parse(answer.body.toString()) as readonly Item[];
  const names = agents.map(({ NodeName }) => String(NodeName)).toSorted();
  const managers = agents
    .filter(({ NodeRole }) => NodeRole === 'manager')
    .map(({ NodeName }) => String(NodeName));
  for (const entry of names) {
    const networks = itemsOf(await json('/networks', { [target]: entry }));
    if (networks.every((network) => nodeOf(network) === undefined))
      return { entry, others: names.filter((name) => name !== entry), managers };
  }
  throw new Error('no node of the cluster gives a list of its own');
}
