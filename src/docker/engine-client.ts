// The agent's own questions to its engine, asked with dockerode over the unix socket. Every one has a deadline.
// Knows paths and answers only; what an answer means is decided in role.ts and own-container.ts.

import { Agent } from 'node:http';
import Dockerode from 'dockerode';
import { AgentError, toAgentError } from '../errors.ts';
import type { RawContainer, RawNetwork, RawTask } from './own-container.ts';
import type { RawInfo, RawNode, RawVersion } from './role.ts';

export interface EngineClient {
  info(signal: AbortSignal): Promise<RawInfo>;
  version(signal: AbortSignal): Promise<RawVersion>;
  node(id: string, signal: AbortSignal): Promise<RawNode>;
  nodes(signal: AbortSignal): Promise<readonly RawNode[]>;
  /** Undefined when the engine has no such container. */
  container(id: string, signal: AbortSignal): Promise<RawContainer | undefined>;
  network(id: string, signal: AbortSignal): Promise<RawNetwork>;
  /** Undefined when the engine has no such volume. */
  volume(name: string, signal: AbortSignal): Promise<RawVolume | undefined>;
  runningTasks(serviceName: string, signal: AbortSignal): Promise<readonly RawTask[]>;
}

/** The part of `GET /volumes/{name}` that is used. */
export interface RawVolume {
  readonly Mountpoint?: string;
}

export interface EngineClientOptions {
  readonly dockerSocket: string;
  readonly requestTimeoutMs: number;
}

/**
 * dockerode as its code is. Its types leave out `agent` and most `abortSignal`s, and promise fields that engines omit;
 * in our shapes every field may be absent.
 */
interface Engine {
  info(options: Abortable): Promise<RawInfo>;
  version(options: Abortable): Promise<RawVersion>;
  listTasks(options: Abortable & { readonly filters: string }): Promise<readonly RawTask[]>;
  listNodes(options: Abortable): Promise<readonly RawNode[]>;
  getNode(id: string): { inspect(options: Abortable): Promise<RawNode> };
  getContainer(id: string): { inspect(options: Abortable): Promise<RawContainer> };
  getVolume(name: string): { inspect(options: Abortable): Promise<RawVolume> };
  getNetwork(id: string): { inspect(options: Abortable): Promise<RawNetwork> };
}

interface Abortable {
  readonly abortSignal: AbortSignal;
}

export function createEngineClient({ dockerSocket, requestTimeoutMs }: EngineClientOptions): EngineClient {
  // A question every few seconds gains nothing from a kept connection, and loses when the engine restarted.
  const connections = { agent: new Agent({ keepAlive: false, maxSockets: 8 }) };
  // The cast is explained at Engine.
  const docker = new Dockerode({ socketPath: dockerSocket, ...connections }) as unknown as Engine;

  async function ask<T>(
    what: string,
    signal: AbortSignal,
    call: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const timeout = AbortSignal.timeout(requestTimeoutMs);
    const either = AbortSignal.any([signal, timeout]);
    try {
      either.throwIfAborted();
      return await untilAborted(call(either), either);
    } catch (error) {
      const attempted = `ask engine at ${dockerSocket} for ${what}`;
      if (signal.aborted) throw new AgentError('cancelled', `${attempted}: cancelled`, { cause: error });
      if (timeout.aborted) {
        throw new AgentError('timeout', `${attempted}: no answer in ${requestTimeoutMs} ms`, {
          cause: error,
        });
      }
      throw toAgentError(error, 'engine-unreachable', attempted);
    }
  }

  return {
    info: (signal) => ask('/info', signal, (abortSignal) => docker.info({ abortSignal })),
    version: (signal) => ask('/version', signal, (abortSignal) => docker.version({ abortSignal })),
    node: (id, signal) =>
      ask(`/nodes/${id}`, signal, (abortSignal) => docker.getNode(id).inspect({ abortSignal })),
    nodes: (signal) => ask('/nodes', signal, (abortSignal) => docker.listNodes({ abortSignal })),
    container: (id, signal) =>
      ask(`/containers/${id}`, signal, (abortSignal) =>
        unlessMissing(docker.getContainer(id).inspect({ abortSignal })),
      ),
    volume: (name, signal) =>
      ask(`/volumes/${name}`, signal, (abortSignal) =>
        unlessMissing(docker.getVolume(name).inspect({ abortSignal })),
      ),
    network: (id, signal) =>
      ask(`/networks/${id}`, signal, (abortSignal) => docker.getNetwork(id).inspect({ abortSignal })),
    runningTasks: (serviceName, signal) => {
      const filters = JSON.stringify({ service: [serviceName], 'desired-state': ['running'] });
      return ask(`/tasks of ${serviceName}`, signal, (abortSignal) =>
        docker.listTasks({ filters, abortSignal }),
      );
    },
  };
}

async function unlessMissing<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw error;
  }
}

/** The status of the engine's answer that made dockerode throw; undefined when there was no answer. */
export function statusOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('statusCode' in error)) return undefined;
  return typeof error.statusCode === 'number' ? error.statusCode : undefined;
}

/** dockerode never settles when the engine cuts a connection within a body, not even on abort; so it is raced. */
async function untilAborted<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([answer, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
