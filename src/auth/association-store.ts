// Keeps this agent's association in memory and in `DATA_PATH`, over restarts. The file is replaced as a whole, so that a
// crash leaves the old one or the new one; a failed write is logged and retried with the next change.

import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { AgentError, nodeCode, reasonOf } from '../errors.ts';
import { keepFile } from '../keep-file.ts';
import type { Logger } from '../log.ts';
import {
  type Association,
  isSameAssociation,
  parseAssociation,
  settle,
  unassociated,
} from './association.ts';
import type { AssociationStore } from './auth.ts';

export interface AssociationNeeds {
  readonly log: Logger;
  /** Wall clock, milliseconds. */
  readonly nowMs: () => number;
  /** This node's name, written beside a key that it associated. */
  readonly nodeName: () => string;
}

const fileName = 'portainer_association.json';

/** Reads the file; an unreadable one is an error, because starting without it would let anybody claim the agent. */
export async function openAssociationStore(
  needs: AssociationNeeds,
  dataPath: string,
): Promise<AssociationStore> {
  const file = path.join(dataPath, fileName);
  let current = await load(file);
  let writing: Promise<void> = Promise.resolve();
  const listeners = new Set<(association: Association) => void>();

  const replace = (next: Association): Association => {
    current = next;
    writing = writing
      .then(() => keepFile(file, JSON.stringify(next)))
      .catch((error: unknown) => needs.log.error('association not saved', { file, reason: reasonOf(error) }));
    for (const listener of listeners) listener(next);
    return next;
  };

  return {
    current: () => current,
    associate(publicKeyHex) {
      if (current.key !== undefined) return current;
      const key = { publicKeyHex, associatedAtMs: needs.nowMs(), by: needs.nodeName() };
      needs.log.info('portainer associated', { by: key.by });
      return replace({ epoch: current.epoch, key });
    },
    merge(other) {
      const settled = settle(current, other);
      if (isSameAssociation(settled, current)) return false;
      replace(settled);
      return true;
    },
    forget() {
      needs.log.info('portainer association forgotten', { epoch: current.epoch + 1 });
      return replace({ epoch: current.epoch + 1, key: undefined });
    },
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    saved: () => writing,
  };
}

async function load(file: string): Promise<Association> {
  try {
    return parseAssociation(await readFile(file, 'utf8'));
  } catch (error) {
    if (nodeCode(error) === 'ENOENT') return unassociated;
    throw new AgentError('config-invalid', `read association from ${file}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}
