// `flotilla keys list|forget`: which Portainer the cluster belongs to, and how to release it.

import { createHash } from 'node:crypto';
import type { ForgetOutcome, ListedKey } from '../api/control.ts';
import { askAgent } from './control-client.ts';
import { parseWords } from './words.ts';

export async function runKeys(argv: readonly string[]): Promise<number> {
  const { verb, json, socketPath } = parseWords('keys', argv);
  if (verb === 'list') {
    // The agent that answers is this same program: its answer has the shape that api/control.ts gives it.
    const { keys } = (await askAgent(socketPath, 'GET', '/keys')) as { readonly keys: readonly ListedKey[] };
    process.stdout.write(json ? `${JSON.stringify(keys)}\n` : keysText(keys));
    return 0;
  }
  const { nodes } = (await askAgent(socketPath, 'POST', '/keys/forget')) as {
    readonly nodes: readonly ForgetOutcome[];
  };
  process.stdout.write(json ? `${JSON.stringify(nodes)}\n` : forgetText(nodes));
  return nodes.every(({ outcome }) => outcome === forgotten) ? 0 : 1;
}

const forgotten: ForgetOutcome['outcome'] = 'forgotten';

export function keysText(keys: readonly ListedKey[]): string {
  if (keys.length === 0) {
    return 'no Portainer is associated: the first one that signs a request will be\n';
  }
  return keys.map((key) => `${fingerprint(key)}  since ${time(key)}  by node ${key.by}\n`).join('');
}

export function forgetText(nodes: readonly ForgetOutcome[]): string {
  const lines = nodes.map(({ node, outcome }) => `${node}: ${outcome}\n`).join('');
  const left = nodes.filter(({ outcome }) => outcome !== forgotten).length;
  return left === 0 ? lines : `${lines}${left} not reached: they follow when they are back in the cluster\n`;
}

/** Enough to compare by eye; `--json` gives the whole key. */
function fingerprint({ publicKeyHex }: ListedKey): string {
  return `SHA256:${createHash('sha256').update(Buffer.from(publicKeyHex, 'hex')).digest('hex').slice(0, 32)}`;
}

function time({ associatedAtMs }: ListedKey): string {
  return new Date(associatedAtMs).toISOString();
}
