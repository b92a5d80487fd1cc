// What is told once, and again only after it worked or when there are too many.

import assert from 'node:assert/strict';
import { createSaidReasons, maxSaidReasons } from './said-reasons.ts';

describe('said reasons', () => {
  it('are new once each, also in turns, and again when it had worked meanwhile', () => {
    const said = createSaidReasons();
    assert.deepEqual(
      ['refused', 'slow', 'refused', 'slow'].map((reason) => said.isNew(reason)),
      [true, true, false, false],
    );
    assert.deepEqual([said.forget(), said.forget(), said.isNew('slow')], [true, false, true]);
  });

  it('are no more than their bound', () => {
    const said = createSaidReasons();
    for (let i = 0; i < maxSaidReasons; i += 1) assert.ok(said.isNew(`reason ${i}`));
    assert.ok(said.isNew('one more'));
    assert.ok(said.isNew('reason 0'), 'forgotten with the others');
  });
});
