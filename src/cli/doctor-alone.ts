// What `flotilla doctor` can see without an agent: its socket, the engine, the agent's container, and how far this node
// gets to the others where the environment names them.

import { stat } from 'node:fs/promises';
import { request } from 'node:http';
import { type DoctorCheck, type DoctorReport, ok, problem, toReport, warning } from '../api/doctor/report.ts';
import { knock } from '../cluster/knock.ts';
import { createLookup } from '../cluster/lookup.ts';
import { AgentError, nodeCode, reasonOf } from '../errors.ts';
import { fromEnvironment } from './words.ts';

const engineTimeoutMs = 3_000;
const knockTimeoutMs = 1_000;
/** A list of the containers of a busy node. */
const maxEngineAnswerBytes = 16 * 1024 * 1024;
const maxEndpoints = 32;

export async function examineAlone(socketPath: string, fault: AgentError): Promise<DoctorReport> {
  const engineSocket = fromEnvironment('FLOTILLA_DOCKER_SOCKET');
  const [engine, others] = await Promise.all([examineEngine(engineSocket), examineOthers()]);
  const agent = await examineAgent(socketPath, fault);
  const checks = [agent, ...engine, ...others];
  return toReport({ node: null, members: [], atMs: Date.now() }, checks);
}

async function examineAgent(socketPath: string, fault: AgentError): Promise<DoctorCheck> {
  const found = await stat(socketPath).catch(nodeCode);
  const code = nodeCode(fault.cause);
  const seen = (text: string): string => `looked at ${socketPath}: ${text}`;
  if (code === 'EACCES' || found === 'EACCES')
    return problem('agent', null, seen('it may be opened by its owner only'), 'run this command as root');
  if (found === 'ENOENT') {
    return problem(
      'agent',
      null,
      seen('there is no such socket, so no agent runs here that this command can see'),
      'start the agent; where it runs in a container: docker exec <agent container> flotilla doctor; elsewhere: --control-socket <path>',
    );
  }
  if (code === 'ECONNREFUSED')
    return problem(
      'agent',
      null,
      seen('the agent that made it was killed'),
      'start the agent again, and see its log',
    );
  return problem(
    'agent',
    null,
    seen(reasonOf(fault)),
    "see the agent's log; kill and restart it if it hangs",
  );
}

interface RawContainer {
  readonly Names?: readonly string[];
  readonly Image?: string;
  readonly Command?: string;
  readonly State?: string;
  readonly Status?: string;
}

async function examineEngine(socketPath: string): Promise<readonly DoctorCheck[]> {
  try {
    // Of the answers only fields that may be absent are read.
    const version = (await askEngine(socketPath, '/version')) as { readonly Version?: string };
    const containers = (await askEngine(socketPath, '/containers/json?all=1')) as readonly RawContainer[];
    return [
      ok('engine', `${version.Version ?? 'unknown version'} answers at ${socketPath}`),
      ...toContainerChecks(containers),
    ];
  } catch (error) {
    return [
      problem(
        'engine',
        null,
        `no answer at ${socketPath}: ${reasonOf(error)}`,
        'is dockerd running? The agent waits for it 30 seconds at its start, and then ends',
      ),
    ];
  }
}

/** Pure. The containers that are agents, by their image or command. */
export function toContainerChecks(containers: readonly RawContainer[]): readonly DoctorCheck[] {
  const agents = containers.filter(({ Image = '', Command = '' }) =>
    /\bflotilla\b/.test(`${Image} ${Command}`),
  );
  if (agents.length === 0) {
    const remedy = 'deploy it: docs/CLI.md and deploy/ say how; without a container: flotilla agent';
    return [warning('agent', null, 'no container of this engine is an agent', remedy)];
  }
  return agents.map(({ Names = [], Status = '', State = '' }) => {
    const name = Names[0]?.replace(/^\//, '') ?? 'unknown';
    const seen = `container ${name}: ${Status}`;
    return State === 'running'
      ? warning('agent', null, seen, `ask there: docker exec ${name} flotilla doctor`)
      : problem('agent', null, seen, `its last words: docker logs --tail 50 ${name}`);
  });
}

function askEngine(socketPath: string, path: string): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const signal = AbortSignal.timeout(engineTimeoutMs);
  const outgoing = request({ socketPath, path, signal, agent: false }, (res) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    res.on('error', reject);
    res.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      chunks.push(chunk);
      if (bytes > maxEngineAnswerBytes)
        res.destroy(new AgentError('limit-exceeded', `${path}: answer too large`));
    });
    res.on('end', () => {
      try {
        if (res.statusCode !== 200) throw new AgentError('unavailable', `${path}: status ${res.statusCode}`);
        resolve(JSON.parse(Buffer.concat(chunks).toString('utf8')));
      } catch (error) {
        reject(error);
      }
    });
  });
  outgoing.on('error', reject);
  outgoing.end();
  return promise;
}

/** Only where this shell has the agent's environment; the agent's container has its own. */
async function examineOthers(): Promise<readonly DoctorCheck[]> {
  const port = Number(fromEnvironment('FLOTILLA_GOSSIP_PORT'));
  const seeds = fromEnvironment('FLOTILLA_SEEDS').split(',');
  const names = [fromEnvironment('AGENT_CLUSTER_ADDR'), ...seeds].map((text) => text.trim());
  const endpoints = names.filter((text) => text !== '').map((text) => splitEndpoint(text, port));
  if (endpoints.length === 0) {
    return [
      ok('discovery', 'not looked at: only the agent knows its environment (or set FLOTILLA_SEEDS here)'),
    ];
  }
  const lookup = createLookup();
  const checks = await Promise.all(
    endpoints.slice(0, maxEndpoints).map(async ({ host, port: at }) => {
      try {
        const addresses = await lookup(host, AbortSignal.timeout(engineTimeoutMs));
        const reached = await Promise.all(addresses.map((address) => reach(address, at)));
        return [ok('discovery', `${host} resolves to ${addresses.join(', ')}`), ...reached];
      } catch (error) {
        return [problem('discovery', null, `${host}: ${reasonOf(error)}`, 'correct the name, or the DNS')];
      }
    }),
  );
  return checks.flat();
}

async function reach(address: string, port: number): Promise<DoctorCheck> {
  const result = await knock({ address, port }, knockTimeoutMs);
  const where = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
  switch (result.kind) {
    case 'open':
      return ok('port', 'accepts connections', where);
    case 'refused':
      return problem('port', where, 'connection refused: no agent listens', 'start the agent there');
    case 'silent':
      return problem(
        'port',
        where,
        `no answer within ${result.afterMs} ms`,
        `is the host up? Allow TCP ${port} to it`,
      );
    case 'unreachable':
      return problem('port', where, `unreachable (${result.reason})`, 'give this host a route to it');
  }
}

/** Pure. `host`, `host:port`, `[v6]:port` and a bare IPv6 address. */
export function splitEndpoint(
  text: string,
  defaultPort: number,
): { readonly host: string; readonly port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(text);
  if (match === null) return { host: text, port: defaultPort };
  return {
    host: match[1] ?? match[2] ?? text,
    port: match[3] === undefined ? defaultPort : Number(match[3]),
  };
}
