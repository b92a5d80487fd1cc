// `flotilla keys` on a node, as its operator types it, against the agent that runs there.

import { fileURLToPath } from 'node:url';

import type { LabNode } from './lab/node.ts';

const entryPoint = fileURLToPath(new URL('../../src/flotilla.ts', import.meta.url));

/** The associated keys, in hex. */
export async function listKeys(node: LabNode): Promise<readonly string[]> {
  const { stdout } = await node.run([process.execPath, entryPoint, 'keys', 'list', '--json']);
  const keys = JSON.parse(stdout) as readonly { readonly publicKeyHex: string }[];
  return keys.map(({ publicKeyHex }) => publicKeyHex);
}

/** What became of it on each node: its name and the outcome. */
export async function forgetKeys(node: LabNode): Promise<readonly string[]> {
  const argv = [process.execPath, entryPoint, 'keys', 'forget', '--json'];
  // Exit code 1 says that not all nodes were reached; the outcomes say which.
  const { stdout } = await node.run(argv, { allowFailure: true });
  const nodes = JSON.parse(stdout) as readonly { readonly node: string; readonly outcome: string }[];
  return nodes.map(({ node: name, outcome }) => `${name} ${outcome}`).toSorted();
}
