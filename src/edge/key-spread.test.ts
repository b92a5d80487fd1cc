// The key's way between agents: who talks to whom, both directions, lost messages, and what members may send.

import assert from 'node:assert/strict';
import { createTestClock, type TestClock } from '../../test/support/edge-clock.ts';
import { edgeVectors } from '../../test/support/edge-vectors.ts';
import { eventually } from '../../test/support/eventually.ts';
import type { Startable } from '../lifecycle.ts';
import { silentLogger } from '../log.ts';
import type { EdgeKey, EdgeKeys, KeySource } from './edge.ts';
import { parseEdgeKey } from './edge-key.ts';
import { answerKeyExchange, createKeySpread } from './key-spread.ts';

const [first = '', second = ''] = edgeVectors.edgeKey.valid.map(({ encoded }) => encoded);
const signal = new AbortController().signal;

/** Keeps a key in memory, as the store keeps it on disk. */
function createKeys(given?: string): EdgeKeys {
  let key = given === undefined ? undefined : parseEdgeKey(given);
  const listeners = new Set<(key: EdgeKey, from: KeySource) => void>();
  return {
    current: () => key,
    associate(text, from) {
      const next = parseEdgeKey(text);
      key = next;
      for (const listener of listeners) listener(next, from);
      return Promise.resolve(next);
    },
    onAssociated(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

interface Agent {
  readonly keys: EdgeKeys;
  readonly spread: Startable;
  /** How often another one asked it. */
  asked: number;
  reachable: boolean;
  /** Of its member record. */
  announced: boolean;
}

/** Agents that see each other; what one announces, all see at once. */
function createAgents(clock: TestClock, given: readonly (string | undefined)[]): readonly Agent[] {
  const agents: Agent[] = [];
  const changes = new Set<() => void>();
  for (const text of given) {
    const keys = createKeys(text);
    const agent: Agent = {
      keys,
      asked: 0,
      reachable: true,
      announced: text !== undefined,
      spread: createKeySpread({
        keys,
        clock,
        log: silentLogger,
        peers: () =>
          agents
            .filter((other) => other !== agent)
            .map((other) => ({
              nodeName: 'other',
              edgeKeySet: other.announced,
              exchange: (body) => {
                other.asked += 1;
                if (!other.reachable) return Promise.reject(new Error('gone'));
                return answerKeyExchange(other.keys, body);
              },
            })),
        onPeersChange: (listener) => {
          changes.add(listener);
          return () => changes.delete(listener);
        },
        announce: () => {
          agent.announced = true;
          for (const change of changes) change();
        },
      }),
    };
    agents.push(agent);
  }
  return agents;
}

async function startAll(agents: readonly Agent[]): Promise<AsyncDisposable> {
  for (const { spread } of agents) await spread.start(signal);
  return {
    async [Symbol.asyncDispose]() {
      for (const { spread } of agents) await spread.stop(signal);
    },
  };
}

function haveKey(agents: readonly Agent[], text: string): boolean {
  return agents.every(({ keys }) => keys.current()?.text === text);
}

describe('edge key spread', () => {
  it('brings a key that one was given to all', async () => {
    const agents = createAgents(createTestClock(), [undefined, undefined, undefined]);
    await using _all = await startAll(agents);
    await agents[1]?.keys.associate(first, 'page');
    await eventually(() => haveKey(agents, first));
  });

  it('fetches the key of another at the start', async () => {
    const agents = createAgents(createTestClock(), [first, undefined]);
    await using _all = await startAll(agents);
    await eventually(() => haveKey(agents, first));
  });

  it('sends a lost message again soon, and less often the longer it is lost', async () => {
    const clock = createTestClock();
    const agents = createAgents(clock, [first, undefined]);
    const [having, wanting] = agents;
    if (having === undefined || wanting === undefined) throw new Error('two agents');
    having.reachable = false;
    wanting.reachable = false;
    await using _all = await startAll(agents);
    const roundOver = (asked: number): Promise<unknown> =>
      eventually(() => having.asked === asked && wanting.asked === asked && clock.waiting() === 2);
    await roundOver(1);
    for (const [at, delayMs] of [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000].entries()) {
      clock.advance(delayMs - 1);
      await roundOver(at + 1);
      clock.advance(1);
      await roundOver(at + 2);
    }
    having.reachable = true;
    assert.equal(wanting.keys.current(), undefined);
    clock.advance(30_000);
    await eventually(() => haveKey(agents, first));
  });

  it('asks nobody where all have a key, and replaces none', async () => {
    const clock = createTestClock();
    const agents = createAgents(clock, [first, second]);
    {
      await using _all = await startAll(agents);
      clock.advance(120_000);
    }
    assert.deepEqual(
      agents.map(({ asked }) => asked),
      [0, 0],
    );
    assert.equal(
      await answerKeyExchange(createKeys(first), JSON.stringify({ edgeKey: second })),
      JSON.stringify({ edgeKey: first }),
    );
    assert.equal(clock.waiting(), 0, 'no timer is left');
  });

  for (const body of ['', 'null', '{"edgeKey":7}', `{"edgeKey":"${'x'.repeat(5_000)}"}`]) {
    it(`refuses ${body.slice(0, 20) || 'nothing'} from a member`, async () => {
      const keys = createKeys();
      await assert.rejects(answerKeyExchange(keys, body), { code: 'protocol-violation' });
      assert.equal(keys.current(), undefined);
    });
  }

  it('refuses a member’s key that is none', async () => {
    await assert.rejects(answerKeyExchange(createKeys(), '{"edgeKey":"nonsense!"}'), {
      code: 'request-invalid',
    });
  });
});
