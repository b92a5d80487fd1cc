// What of a client's request is put to all nodes.

import { deepEqual } from 'node:assert/strict';
import { createAnsweringCluster } from '../../../test/support/answering-cluster.ts';
import { recordedAnswer } from '../../../test/support/engine-answers.ts';
import { questionOf } from './question.ts';

describe('question to many nodes', () => {
  it('carries neither the headers of a body nor the credentials of a registry', () => {
    const { call } = createAnsweringCluster({
      nodes: [{ nodeName: 'node-1' }],
      answer: () => recordedAnswer('node-1', 'GET /version'),
    });
    const rawHeaders = [
      ...['User-Agent', 'test', 'X-Registry-Auth', 'secret', 'x-registry-config', 'secret'],
      ...['Content-Type', 'text/plain', 'Content-Length', '0', 'Accept-Encoding', 'gzip', 'X-Meta-A', '1'],
    ];
    const asked = call('/info', { rawHeaders });
    const { to } = questionOf(asked, { pace: 'list' });
    deepEqual(to(asked.view.self).rawHeaders, ['User-Agent', 'test', 'X-Meta-A', '1']);
  });
});
