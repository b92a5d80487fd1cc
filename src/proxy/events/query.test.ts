// What is read of an events query, and what an engine is asked.

import assert from 'node:assert/strict';
import { parseEventsQuery, toEngineQuery } from './query.ts';

const filters = (value: unknown): string => `filters=${encodeURIComponent(JSON.stringify(value))}`;

describe('events query', () => {
  it('reads times without losing a digit', () => {
    const { sinceNs, untilNs, hasHistory } = parseEventsQuery('?since=1763796000.123456789&until=1763796001');
    assert.deepEqual(
      [sinceNs, untilNs, hasHistory],
      [1_763_796_000_123_456_789n, 1_763_796_001_000_000_000n, true],
    );
    assert.equal(parseEventsQuery('?since=0.5').sinceNs, 500_000_000n);
    assert.equal(parseEventsQuery('?until=0').hasHistory, true);
    assert.equal(parseEventsQuery('').hasHistory, false);
  });

  it('leaves to the engine what it does not understand', () => {
    for (const query of ['?since=1h', '?until=x&filters={', '?filters=%5B%5D', '?a=%zz', '?since=']) {
      const parsed = parseEventsQuery(query);
      assert.equal(parsed.hasHistory, false, query);
      assert.equal(parsed.nodes, undefined);
      assert.equal(toEngineQuery(parsed, undefined), query);
    }
  });

  it('takes out the filter that chooses nodes, and nothing else', () => {
    const parsed = parseEventsQuery(`?since=1&${filters({ type: ['container'], node: ['a', 'b'] })}`);
    assert.deepEqual([...(parsed.nodes ?? [])], ['a', 'b']);
    assert.equal(toEngineQuery(parsed, undefined), `?since=1&${filters({ type: ['container'] })}`);
  });

  it('asks for another beginning in place of the old one', () => {
    const query = `?since=1&${filters({ type: ['a'] })}&%73ince=2`;
    assert.equal(
      toEngineQuery(parseEventsQuery(query), 1_763_796_000_000_000_007n),
      `?${filters({ type: ['a'] })}&since=1763796000.000000007`,
    );
    assert.equal(toEngineQuery(parseEventsQuery(''), -5n), '?since=0.000000000');
  });
});
