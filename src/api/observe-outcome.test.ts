// That counting changes nothing of what is counted.

import assert from 'node:assert/strict';
import type { ErrorCode } from '../errors.ts';
import { AgentError } from '../errors.ts';
import type { Exchange } from '../exchange.ts';
import type { Metrics } from './metrics.ts';
import { observeEngineErrors, observeParts } from './observe-outcome.ts';

function record(): { readonly metrics: Metrics; readonly seen: string[] } {
  const seen: string[] = [];
  const metrics: Metrics = {
    requestEnded: () => undefined,
    memberPartEnded: (outcome) => void seen.push(outcome),
    streamOpened: () => () => undefined,
    engineFailed: () => void seen.push('engine'),
  };
  return { metrics, seen };
}

const cases: readonly (readonly [ErrorCode, readonly string[]])[] = [
  ['timeout', ['timeout']],
  ['limit-exceeded', ['too-large']],
  ['member-untrusted', ['untrusted']],
  ['member-unreachable', ['unreachable']],
  ['protocol-violation', ['failed']],
  ['cancelled', []],
];

describe('observed parts', () => {
  it('come through, counted as answers', async () => {
    const { metrics, seen } = record();
    const ask = observeParts(metrics, async (a: number, b: string) => `${a}${b}`);
    assert.equal(await ask(1, 'x'), '1x');
    assert.deepEqual(seen, ['answer']);
  });

  for (const [code, expected] of cases) {
    it(`fail with the same ${code}, counted as ${expected.join() || 'nothing'}`, async () => {
      const { metrics, seen } = record();
      const error = new AgentError(code, 'x');
      await assert.rejects(
        observeParts(metrics, () => Promise.reject(error))(),
        (thrown) => thrown === error,
      );
      assert.deepEqual(seen, expected);
    });
  }

  it('count what is none of ours as failed', async () => {
    const { metrics, seen } = record();
    await assert.rejects(observeParts(metrics, () => Promise.reject(new Error('x')))());
    assert.deepEqual(seen, ['failed']);
  });
});

describe('observed failures', () => {
  it('are answered all, and counted when the engine was silent', () => {
    const { metrics, seen } = record();
    const answered: ErrorCode[] = [];
    const fail = observeEngineErrors(metrics, (_exchange, error) => void answered.push(error.code));
    // What is answered does not matter here: nothing looks into the exchange.
    const exchange = {} as Exchange;
    fail(exchange, new AgentError('engine-unreachable', 'x'));
    fail(exchange, new AgentError('member-unknown', 'x'));
    assert.deepEqual(answered, ['engine-unreachable', 'member-unknown']);
    assert.deepEqual(seen, ['engine']);
  });
});
