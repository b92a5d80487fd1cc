// The Docker sockets of this node: `docker.sock`, which is the whole cluster, and `nodes/<node>.sock` for each live
// member. They come and go with the view; one that cannot be made is tried again, and the agent serves on without it.

import { join } from 'node:path';
import type { ClusterView } from '../cluster/cluster.ts';
import type { SocketsConfig } from '../config/config.ts';
import { nodeCode, reasonOf } from '../errors.ts';
import type { Exchange } from '../exchange.ts';
import type { Startable } from '../lifecycle.ts';
import type { Logger } from '../log.ts';
import type { ClusterGate } from './cluster-gate.ts';
import type { NodeGate } from './node-gate.ts';
import type { Listener } from './server.ts';
import {
  clusterSocketFile,
  findGroup,
  findSocketDir,
  hostSocketDir,
  nodesFolder,
  ownFolder,
  removeStale,
} from './sockets-place.ts';
import { type NodeSocket, planSockets, type SocketsPlan } from './sockets-plan.ts';
import { type BoundSocket, placeOf, removeSocket } from './unix-socket.ts';

export interface SocketsNeeds {
  readonly view: () => ClusterView;
  readonly onViewChange: (listener: () => void) => () => void;
  /** A listener whose exchanges all go to `handle`. */
  readonly createListener: (handle: (exchange: Exchange) => void) => Listener;
  readonly clusterGate: ClusterGate;
  readonly nodeGate: NodeGate;
  readonly log: Logger;
}

export interface SocketsOptions extends Omit<SocketsConfig, 'strict'> {
  readonly hostRoot: string;
  readonly dockerSocket: string;
  /** Whether the cluster has a secret. */
  readonly hasSecret: boolean;
  /** How long connections may go on when their socket goes while their node stays, milliseconds. */
  readonly drainMs: number;
  /** How often it is looked whether all are in place, milliseconds. */
  readonly checkIntervalMs?: number;
}

export interface Sockets extends Startable {
  /** Takes all sockets away at once; resolves when the last connection has ended, or at the deadline by force. */
  drain(deadline: AbortSignal): Promise<void>;
}

const defaultCheckIntervalMs = 5_000;
const everyUser = 0o007;

export function createSockets(needs: SocketsNeeds, options: SocketsOptions): Sockets {
  return new DockerSockets(needs, options);
}

/** A socket that should be there. */
interface Wanted {
  readonly path: string;
  /** Undefined for the whole cluster. */
  readonly node: NodeSocket | undefined;
}

interface Open extends Wanted {
  readonly listener: Listener;
  readonly bound: BoundSocket;
}

/** Why a socket is not there; what has the same cause is said once. */
interface Fault {
  readonly at: string;
  readonly reason: string;
  readonly cause: string;
}

class DockerSockets implements Sockets {
  readonly name = 'sockets';
  readonly #needs: SocketsNeeds;
  readonly #options: SocketsOptions;
  /** By path and node. */
  readonly #open = new Map<string, Open>();
  /** Sockets that are gone, whose connections may still go on. */
  readonly #ending = new Set<Promise<void>>();
  /** Ends all connections. */
  readonly #cut = new AbortController();
  #dir: string;
  #isClean = false;
  /** What went wrong in the last round: said once for as long as it lasts. */
  #causes: ReadonlySet<string> = new Set();
  #state: 'new' | 'running' | 'ended' = 'new';
  #turn: Promise<void> = Promise.resolve();
  #queued: Promise<void> | undefined;
  #endWatch: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(needs: SocketsNeeds, options: SocketsOptions) {
    this.#needs = needs;
    this.#options = options;
    this.#dir = options.dir ?? hostSocketDir;
  }

  async start(): Promise<void> {
    const { where, mode, dir, hostRoot, checkIntervalMs = defaultCheckIntervalMs } = this.#options;
    if (this.#state !== 'new' || where === 'off') return;
    this.#state = 'running';
    if ((mode & everyUser) !== 0)
      this.#needs.log.warn('every user of this node may use the sockets', { mode: mode.toString(8) });
    this.#dir = dir ?? (await findSocketDir(hostRoot));
    if (this.#isEnded()) return;
    this.#endWatch = this.#needs.onViewChange(() => void this.#settle());
    this.#timer = setInterval(() => void this.#settle(), checkIntervalMs);
    await this.#settle();
  }

  #isEnded(): boolean {
    return this.#state === 'ended';
  }

  stop(): Promise<void> {
    return this.drain(AbortSignal.abort());
  }

  async drain(deadline: AbortSignal): Promise<void> {
    this.#state = 'ended';
    this.#endWatch?.();
    clearInterval(this.#timer);
    if (deadline.aborted) this.#cut.abort();
    else deadline.addEventListener('abort', () => this.#cut.abort(), { once: true });
    await this.#turn;
    for (const [key, open] of [...this.#open]) await this.#close(key, open, this.#cut.signal);
    await Promise.all(this.#ending);
  }

  /** Brings the sockets in line with the view, after the round in progress. Never rejects. */
  #settle(): Promise<void> {
    this.#queued ??= this.#turn.then(async () => {
      this.#queued = undefined;
      if (this.#state === 'running') await this.#round();
    });
    this.#turn = this.#queued;
    return this.#turn;
  }

  async #round(): Promise<void> {
    const faults: Fault[] = [];
    try {
      const nodesDir = join(this.#dir, nodesFolder);
      const plan = planSockets(this.#needs.view(), { ...this.#options, nodesDir });
      for (const { nodeName, reason } of plan.without)
        faults.push({ at: nodeName, reason, cause: `${nodeName}: ${reason}` });
      const wanted = wantedBy(plan, this.#dir);
      await this.#takeAway(wanted);
      const lacking = [...wanted].filter(([key]) => !this.#open.has(key));
      if (lacking.length > 0) await this.#prepare(nodesDir);
      for (const [key, one] of lacking)
        await this.#make(key, one).catch((error: unknown) => faults.push(toFault(one.path, error)));
    } catch (error) {
      faults.push(toFault(this.#dir, error));
    }
    this.#report(faults);
  }

  #report(faults: readonly Fault[]): void {
    const causes = new Set<string>();
    for (const { at, reason, cause } of faults) {
      if (!this.#causes.has(cause) && !causes.has(cause))
        this.#needs.log.warn('a Docker socket is missing', { at, reason });
      causes.add(cause);
    }
    this.#causes = causes;
  }

  /** Those that are wanted no more, and those whose file somebody has removed. A newer agent's are left to it. */
  async #takeAway(wanted: ReadonlyMap<string, Wanted>): Promise<void> {
    const members = new Set(this.#needs.view().members.map(({ record }) => record.engineId));
    for (const [key, open] of [...this.#open]) {
      const isGone = open.node !== undefined && !members.has(open.node.engineId);
      const isLost = !isGone && (await placeOf(open.bound)) === 'empty';
      if (wanted.has(key) && !isLost) continue;
      const patience = AbortSignal.any([this.#cut.signal, AbortSignal.timeout(this.#options.drainMs)]);
      await this.#close(key, open, isGone ? AbortSignal.abort() : patience);
    }
  }

  async #prepare(nodesDir: string): Promise<void> {
    await ownFolder(this.#dir);
    await ownFolder(nodesDir);
    if (this.#isClean) return;
    await removeStale(this.#dir);
    this.#isClean = true;
  }

  async #make(key: string, { path, node }: Wanted): Promise<void> {
    const { clusterGate, nodeGate, createListener, log } = this.#needs;
    const { mode, group, hostRoot, dockerSocket: engineSocket } = this.#options;
    const gid = await findGroup(group, { hostRoot, engineSocket });
    const handle =
      node === undefined ? clusterGate.handle : (exchange: Exchange): void => nodeGate.handle(exchange, node);
    const listener = createListener(handle);
    const bound = await listener.listenOnSocket({ path, mode, gid, engineSocket });
    this.#open.set(key, { path, node, listener, bound });
    if (node === undefined) log.info('listening', { listener: 'cluster socket', path });
    else log.debug('listening', { listener: 'node socket', path, node: node.nodeName });
  }

  /** Resolves when the socket is gone; its connections may go on until the deadline. */
  async #close(key: string, { listener, bound }: Open, deadline: AbortSignal): Promise<void> {
    this.#open.delete(key);
    // Best effort: a file that cannot be removed leads nowhere once nobody listens.
    await removeSocket(bound).catch((error: unknown) =>
      this.#needs.log.warn('remove socket', { path: bound.path, reason: reasonOf(error) }),
    );
    const ended = listener.drain(deadline).finally(() => this.#ending.delete(ended));
    this.#ending.add(ended);
  }
}

/** Texts of the system name a path that is another one each time. */
function toFault(at: string, error: unknown): Fault {
  const reason = reasonOf(error);
  const isSystem = error instanceof Error && 'syscall' in error;
  return { at, reason, cause: isSystem ? (nodeCode(error) ?? reason) : reason };
}

function wantedBy(plan: SocketsPlan, dir: string): ReadonlyMap<string, Wanted> {
  const wanted = new Map<string, Wanted>();
  if (plan.cluster) wanted.set('', { path: join(dir, clusterSocketFile), node: undefined });
  // With the engine in the key, a path that comes to another engine ends the connections to the old one.
  for (const node of plan.nodes)
    wanted.set(`${node.file} ${node.engineId}`, { path: join(dir, nodesFolder, node.file), node });
  return wanted;
}
