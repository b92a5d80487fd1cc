// A site behind NAT: one agent in Edge mode on a node that nothing outside can reach. Outside are a Portainer that it polls
// and a tunnel server, which its Edge key names; what comes back is a port on this machine.

import { readFileSync, writeFileSync } from 'node:fs';
import { type AgentLab, ready } from './agent-lab.ts';
import { type EdgeServer, startEdgeServer } from './edge-server/edge-server.ts';
import { eventually } from './eventually.ts';
import { freePort } from './free-port.ts';
import type { LabAgent } from './lab/agents.ts';
import type { LabNode } from './lab/node.ts';
import { type RawAnswer, type RawRequest, requestRaw } from './raw-http.ts';
import { encryptCredentials, type TunnelServer, testEdgeId } from './tunnel-bed.ts';

export interface EdgeSite extends AsyncDisposable {
  readonly portainer: EdgeServer;
  readonly tunnel: TunnelServer;
  readonly agent: LabAgent;
  /** Where the agent's API is, on this machine's loopback, while the tunnel is open. */
  readonly port: number;
  /** Through the tunnel, as it is: unsigned unless the headers are. */
  request(request: RawRequest): Promise<RawAnswer>;
  /** What `/readyz` says of Edge mode; asked on the node itself. */
  reason(): Promise<string>;
  /** Connections that the agent's API has now. */
  connections(): number;
  /** From now on; resolves with how much the agent's memory grew at most. */
  watchMemory(): () => number;
}

export const apiPort = 9001;
const metricsUrl = 'http://127.0.0.1:9003/readyz';
/** The first poll comes 5 s after the start. */
const opensWithinMs = 30_000;
const askTimeoutMs = 10_000;

/** Resolves when the agent answers through its tunnel. */
export async function startEdgeSite(
  agents: AgentLab,
  startTunnelServer: (host: string) => Promise<TunnelServer>,
): Promise<EdgeSite> {
  const node = agents.node(1);
  const { hostAddress } = agents.lab;
  await using stack = new AsyncDisposableStack();
  const tunnel = stack.use(await startTunnelServer(hostAddress));
  const { fingerprint } = tunnel;
  const tunnelAddress = `${tunnel.scheme}${hostAddress}:${tunnel.port}`;
  const portainer = stack.use(await startEdgeServer({ host: hostAddress, tunnelAddress, fingerprint }));
  const port = await freePort();
  tunnel.allow(port);
  portainer.say({
    status: 'REQUIRED',
    port,
    credentials: encryptCredentials(tunnel.user, tunnel.password),
  });
  const agent = agents.start(node, { EDGE: '1', EDGE_ID: testEdgeId, EDGE_KEY: portainer.key() });
  // It leaves before what it is connected to.
  stack.defer(() => agent.kill());
  await ready(agent);
  const request = (asked: RawRequest): Promise<RawAnswer> =>
    requestRaw({ kind: 'tcp', host: '127.0.0.1', port }, asked);
  await eventually(async () => (await request({ path: '/ping' })).status === 204, {
    withinMs: opensWithinMs,
    everyMs: 100,
  });
  const disposal = stack.move();
  return {
    portainer,
    tunnel,
    agent,
    port,
    request,
    reason: () => edgeReason(node),
    connections: () => countConnections(agent.pid),
    watchMemory: () => watchMemory(agent.pid),
    [Symbol.asyncDispose]: () => disposal.disposeAsync(),
  };
}

/** Nothing else than the node itself can ask there. */
async function edgeReason(node: LabNode): Promise<string> {
  const script = 'const answer = await fetch(process.argv[1]); console.log(await answer.text())';
  const argv = [process.execPath, '--input-type=module', '-e', script, metricsUrl];
  const { stdout } = await node.run(argv, { timeoutMs: askTimeoutMs });
  const { checks } = JSON.parse(stdout) as { checks: readonly { name: string; reason: string }[] };
  return checks.find(({ name }) => name === 'edge')?.reason ?? '';
}

/** Established ones in the process's own network, as proc(5) lists them: addresses in hex, state 01. */
function countConnections(pid: number): number {
  const local = new RegExp(`^ *\\d+: [0-9A-F]{8}:${apiPort.toString(16).toUpperCase()} \\S+ 01 `, 'gm');
  return [...readFileSync(`/proc/${pid}/net/tcp`, 'utf8').matchAll(local)].length;
}

function watchMemory(pid: number): () => number {
  // Resets the high-water mark, proc(5).
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
  const before = memoryOf(pid, 'VmRSS');
  return () => memoryOf(pid, 'VmHWM') - before;
}

function memoryOf(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const [, kilobytes] = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status) ?? [];
  if (kilobytes === undefined) throw new Error(`process ${pid} has no ${field}`);
  return Number(kilobytes) * 1024;
}
