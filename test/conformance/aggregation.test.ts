// The recorded merged lists, by real agents on one machine that cluster through static seeds.

import { deepEqual, equal } from 'node:assert/strict';
import { type AgentUnderTest, startAgentUnderTest } from '../support/checks.ts';
import { eventually } from '../support/eventually.ts';
import { createSigner } from '../support/signer.ts';
import { freePort } from '../support/spawn-agent.ts';
import { type Aggregation, vectors } from '../support/vectors.ts';

const secret = 'the cluster of these tests';

describe('merged lists', function () {
  this.timeout(60_000);

  for (const vector of vectors.aggregation) {
    it(`${vector.request} is merged as recorded, with ${Object.keys(vector.members).length} members`, async () => {
      await using cluster = await startCluster(Object.keys(vector.members));
      const entry = cluster.members[0];
      if (entry === undefined) throw new Error('no members');
      for (const [at, member] of Object.values(vector.members).entries()) {
        prepare(cluster.members[at], member);
      }
      const [method = '', path = ''] = vector.request.split(' ');
      const answer = await entry.request({ method, path });
      equal(answer.status, vector.result.status);
      equal(answer.headers.get('content-type'), vector.result.contentType);
      equal(answer.headers.get('api-version'), undefined);
      assertBody(JSON.parse(answer.body.toString()), vector.result);
    });
  }
});

interface TestCluster extends AsyncDisposable {
  readonly members: readonly AgentUnderTest[];
}

/** Agents that know each other; the first name is the manager. */
async function startCluster(names: readonly string[]): Promise<TestCluster> {
  const signer = createSigner();
  const ports = await Promise.all(names.map(() => freePort()));
  const seeds = ports.map((port) => `127.0.0.1:${port}`).join(',');
  await using stack = new AsyncDisposableStack();
  const members: AgentUnderTest[] = [];
  for (const [at, name] of names.entries()) {
    const env = {
      FLOTILLA_CLUSTER_SECRET: secret,
      FLOTILLA_GOSSIP_PORT: String(ports[at]),
      FLOTILLA_SEEDS: seeds,
    };
    const engine = { name, swarm: at === 0 ? 'manager' : 'worker' } as const;
    members.push(stack.use(await startAgentUnderTest({ engine, env, signer })));
  }
  for (const member of members) {
    await eventually(
      async () => {
        const agents = await member.request({ path: '/agents' });
        equal(JSON.parse(agents.body.toString()).length, names.length);
      },
      { withinMs: 15_000, everyMs: 100 },
    );
  }
  const disposal = stack.move();
  return { members, [Symbol.asyncDispose]: () => disposal.disposeAsync() };
}

/** Gives a member's engine the recorded answer, or takes the member away as recorded. */
function prepare(
  member: AgentUnderTest | undefined,
  recorded: Aggregation['members'][string] | undefined,
): void {
  if (member === undefined || recorded === undefined) throw new Error('more members recorded than started');
  if (recorded === 'connection refused') member.agent.signal('SIGKILL');
  else if (recorded === 'ping timed out') member.agent.signal('SIGSTOP');
  else if (typeof recorded === 'object') {
    const { status, body } = recorded;
    member.engine.failWith(({ target }) =>
      /\/(?:containers\/json|volumes|networks)/.test(target) ? { kind: 'status', status, body } : undefined,
    );
  } else throw new Error(`no way to perform: ${recorded}`);
}

function assertBody(body: unknown, result: Aggregation['result']): void {
  if (result.bodyAnyOrder === undefined) {
    deepEqual(body, result.body);
    return;
  }
  const sorted = (items: unknown) =>
    (items as unknown[]).map((item) => JSON.stringify(item)).toSorted((a, b) => a.localeCompare(b));
  deepEqual(sorted(body), sorted(result.bodyAnyOrder));
}
