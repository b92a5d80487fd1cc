// The recorded merged lists, by real agents on one machine that cluster through static seeds.

import { deepEqual, equal } from 'node:assert/strict';
import type { AgentUnderTest } from '../support/checks.ts';
import { startTestCluster } from '../support/test-cluster.ts';
import { type Aggregation, vectors } from '../support/vectors.ts';

const secret = 'the cluster of these tests';

describe('merged lists', function () {
  this.timeout(60_000);

  for (const vector of vectors.aggregation) {
    it(`${vector.request} is merged as recorded, with ${Object.keys(vector.members).length} members`, async () => {
      await using cluster = await startTestCluster({ names: Object.keys(vector.members), secret });
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
