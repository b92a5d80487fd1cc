// Keeps the last facts of the engine and whether it answered. The one writer of both.
// Listeners hear of facts that differ, in order; a failed reading changes the health and leaves the facts.

import { AgentError, reasonOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { EngineFacts, EngineHealth } from './docker.ts';
import type { EngineClient } from './engine-client.ts';
import { statusOf } from './engine-client.ts';
import type { RawInfo, RawNode } from './role.ts';
import { managerNodeId, sameFacts, toFacts } from './role.ts';

export interface FactsReader {
  facts(): EngineFacts;
  health(): EngineHealth;
  refresh(): Promise<EngineFacts>;
  onChange(listener: (facts: EngineFacts) => void): () => void;
}

export interface FactsReaderNeeds {
  readonly log: Logger;
  readonly nowMs: () => number;
}

export function createFactsReader(
  needs: FactsReaderNeeds,
  client: EngineClient,
  signal: AbortSignal,
): FactsReader {
  const listeners = new Set<(facts: EngineFacts) => void>();
  let facts: EngineFacts | undefined;
  let health: EngineHealth = { kind: 'unreachable', reason: 'not asked yet', sinceMs: needs.nowMs() };
  let reading: Promise<EngineFacts> | undefined;

  function noteAnswer(next: EngineFacts): void {
    if (health.kind === 'unreachable') needs.log.info('engine reachable', { ...next });
    health = { kind: 'reachable' };
    if (sameFacts(facts, next)) return;
    facts = next;
    for (const listener of listeners) listener(next);
  }

  function noteFailure(error: unknown): void {
    if (signal.aborted) return;
    const reason = reasonOf(error);
    if (health.kind === 'reachable') needs.log.warn('engine unreachable', { reason });
    const sinceMs = health.kind === 'unreachable' ? health.sinceMs : needs.nowMs();
    health = { kind: 'unreachable', reason, sinceMs };
  }

  async function read(): Promise<EngineFacts> {
    try {
      const next = await readFacts(client, signal);
      noteAnswer(next);
      return next;
    } catch (error) {
      noteFailure(error);
      throw error;
    } finally {
      reading = undefined;
    }
  }

  return {
    facts: () => {
      if (facts !== undefined) return facts;
      throw new AgentError('engine-unreachable', 'read facts of the engine: it was not reached yet');
    },
    health: () => health,
    refresh: () => {
      reading ??= read();
      return reading;
    },
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

async function readFacts(client: EngineClient, signal: AbortSignal): Promise<EngineFacts> {
  const [info, version] = await Promise.all([client.info(signal), client.version(signal)]);
  return toFacts(info, version, await readOwnNode(client, info, signal));
}

/** A manager that lost its quorum answers an error here; it is still a manager, and certainly not the leader. */
async function readOwnNode(
  client: EngineClient,
  info: RawInfo,
  signal: AbortSignal,
): Promise<RawNode | undefined> {
  const nodeId = managerNodeId(info);
  if (nodeId === undefined) return undefined;
  try {
    return await client.node(nodeId, signal);
  } catch (error) {
    if (statusOf(causeOf(error)) !== undefined) return undefined;
    throw error;
  }
}

function causeOf(error: unknown): unknown {
  return error instanceof Error ? error.cause : undefined;
}
