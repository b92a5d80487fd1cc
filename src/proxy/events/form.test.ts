// Which form of events a client gets, by what it accepts and what the cluster speaks.

import assert from 'node:assert/strict';
import { formOf } from './form.ts';

describe('form', () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ['', '1.56', 'application/json'],
    ['application/json-seq,application/x-ndjson', '1.51', 'application/json'],
    ['*/*', '1.41', 'application/json'],
    ['*/*', '1.52', 'application/jsonl'],
    ['application/json', '1.52', 'application/json'],
    // What Docker's own client sends: engines prefer lines where the client does not mind.
    ['application/json-seq,application/x-ndjson', '1.52', 'application/x-ndjson'],
    ['application/json-seq', '1.56', 'application/json-seq'],
    ['Application/JSON-Seq; q=0.9, application/x-ndjson;q=0.5', '1.56', 'application/json-seq'],
    ['application/*;q=0.5, application/x-ndjson;q=0.5', '1.56', 'application/x-ndjson'],
    ['application/jsonl;q=0, application/json-seq;q=0.1', '1.56', 'application/json-seq'],
    ['application/jsonl;q=x', '1.56', 'application/json'],
    ['text/*, text/html', '1.56', 'application/json'],
  ];
  for (const [accept, spoken, expected] of cases) {
    it(`is ${expected} for '${accept}' where API ${spoken} is spoken`, () => {
      assert.equal(formOf(accept, spoken).contentType, expected);
    });
  }

  it('puts a record separator before each event of a sequence only', () => {
    assert.equal(formOf('application/json-seq', '1.52').before, '\x1e');
    assert.equal(formOf('application/jsonl', '1.52').before, '');
  });
});
