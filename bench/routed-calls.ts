// What finding a node by itself costs: the same call to a container of another node over the cluster socket, by target
// header, by full id and by name; and beside them what one round trip with all nodes takes. The ways take turns call by call, so that whatever the machine does hits all alike.

import { Agent, type RequestOptions, request } from 'node:http';
import { join } from 'node:path';
import type { LabNode } from '../test/support/lab/node.ts';

export interface RoutedCalls {
  /** Median of one call, milliseconds. */
  readonly targetMs: number;
  readonly idMs: number;
  readonly nameMs: number;
  /** The same call by target header to all nodes at once, until the last has answered: one round trip with everybody. */
  readonly allMs: number;
}

const warmUps = 200;
const calls = 1_500;

/** `container` runs on the second node, and nowhere else is one of its name. */
export async function measureRoutedCalls(
  [entry, owner, ...others]: readonly [LabNode, LabNode, ...LabNode[]],
  container: string,
): Promise<RoutedCalls> {
  const nodes = [entry, owner, ...others];
  const id = (await owner.docker(['inspect', '-f', '{{.Id}}', container])).trim();
  const agent = new Agent({ keepAlive: true, maxSockets: nodes.length });
  const call = (name: string, headers: Readonly<Record<string, string>> = {}): Promise<number> =>
    timed({
      socketPath: join(entry.runDir, 'flotilla', 'docker.sock'),
      path: `/containers/${name}/json`,
      headers,
      agent,
    });
  const at = (node: LabNode): Promise<number> => call(container, { 'X-PortainerAgent-Target': node.name });
  const ways = {
    target: () => at(owner),
    id: () => call(id),
    name: () => call(container),
    // Who does not have it says so: that is what a lookup waits for.
    all: async () => Math.max(...(await Promise.all(nodes.map(at)))),
  };
  const taken: Record<keyof typeof ways, number[]> = { target: [], id: [], name: [], all: [] };
  for (let round = 0; round < warmUps + calls; round += 1) {
    for (const way of ['target', 'id', 'name', 'all'] as const) {
      const ms = await ways[way]();
      if (round >= warmUps) taken[way].push(ms);
    }
  }
  agent.destroy();
  const { target, id: byId, name, all } = taken;
  return { targetMs: median(target), idMs: median(byId), nameMs: median(name), allMs: median(all) };
}

function timed(options: RequestOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    const startedMs = performance.now();
    request(options, (res) => {
      res.resume();
      res.once('end', () => {
        if (res.statusCode === 200 || res.statusCode === 404) resolve(performance.now() - startedMs);
        else reject(new Error(`routed call: status ${res.statusCode}`));
      });
    })
      .once('error', reject)
      .end();
  });
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
