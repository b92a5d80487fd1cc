// Keeps this agent's Edge key in memory and in `DATA_PATH`, over restarts. The file is replaced as a whole and before the
// memory, so that an association is whole or has not happened.

import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { AgentError, nodeCode, reasonOf } from '../errors.ts';
import { keepFile } from '../keep-file.ts';
import type { Logger } from '../log.ts';
import type { EdgeKey, EdgeKeys, KeySource } from './edge.ts';
import { isSameKey, parseEdgeKey } from './edge-key.ts';

export interface KeyStoreOptions {
  readonly dataPath: string;
  /** `EDGE_KEY`: beats the file. */
  readonly given: string | undefined;
}

/** The original's name, so that either agent finds the other's. */
const fileName = 'agent_edge_key';

/**
 * First hit wins: environment, then disk; the members come later, when they appear. A malformed key is fatal: the agent
 * would seem to be set up and never show.
 */
export async function openKeyStore(log: Logger, options: KeyStoreOptions): Promise<EdgeKeys> {
  const file = path.join(options.dataPath, fileName);
  const first = await firstKey(file, options.given);
  const listeners = new Set<(key: EdgeKey, from: KeySource) => void>();
  let current = first?.key;
  let queue: Promise<unknown> = Promise.resolve();
  if (first?.from === 'environment') {
    // Kept too, as there: later starts need no variable. Best effort, because the variable is there now.
    await keepFile(file, first.key.text).catch((error: unknown) =>
      log.warn('edge key not kept', { file, reason: reasonOf(error) }),
    );
  }
  if (first !== undefined)
    log.info('edge key found', { from: first.from, portainer: first.key.portainerUrl });

  const associate = async (text: string, from: KeySource): Promise<EdgeKey> => {
    const key = parseEdgeKey(text);
    if (current !== undefined) {
      if (isSameKey(current, key)) return current;
      throw new AgentError('limit-exceeded', 'associate edge key: another one is associated already');
    }
    try {
      await keepFile(file, key.text);
    } catch (error) {
      throw new AgentError('unavailable', `keep the edge key in ${file}: ${reasonOf(error)}`, {
        cause: error,
      });
    }
    current = key;
    log.info('edge key associated', { from, portainer: key.portainerUrl, environment: key.environmentId });
    for (const listener of listeners) listener(key, from);
    return key;
  };

  return {
    current: () => current,
    associate(text, from) {
      // One after the other: two at once would both find that none holds.
      const result = queue.then(() => associate(text, from));
      queue = result.catch(() => undefined);
      return result;
    },
    onAssociated(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

interface FirstKey {
  readonly key: EdgeKey;
  readonly from: KeySource;
}

async function firstKey(file: string, given: string | undefined): Promise<FirstKey | undefined> {
  if (given !== undefined) return { key: parseFirst(given, 'EDGE_KEY'), from: 'environment' };
  const text = await load(file);
  return text === undefined ? undefined : { key: parseFirst(text, file), from: 'disk' };
}

function parseFirst(text: string, where: string): EdgeKey {
  try {
    return parseEdgeKey(text);
  } catch (error) {
    throw new AgentError('config-invalid', `read the edge key of ${where}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

async function load(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (nodeCode(error) === 'ENOENT') return undefined;
    throw new AgentError('config-invalid', `read the edge key of ${file}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}
