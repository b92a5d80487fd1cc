// Router choice, held to the recorded table of the original agent.

import assert from 'node:assert/strict';
import { vectors } from '../../test/support/vectors.ts';
import { findOwnRoute } from './own-route.ts';
import { cleanPath, parseTarget } from './target.ts';

const routerNames: Readonly<Record<string, string>> = { 'browse v1': 'browse-v1' };

describe('own routes', () => {
  for (const row of vectors.pathRewrite) {
    // Stripped in the middle of a path, an image name is mangled: the original's quirk Q17, mended on purpose.
    if (row.in.includes('repo/v1.0')) continue;
    it(`${row.in} goes to ${row.router}`, () => {
      const target = parseTarget(row.in);
      if (target.path === '') return;
      const route = findOwnRoute('GET', target.path, target.version !== undefined, cleanPath);
      assert.equal('router' in route ? route.router : route.kind, routerNames[row.router] ?? row.router);
    });
  }

  const answers: readonly [string, string, string][] = [
    ['GET', '/agents', 'found'],
    ['HEAD', '/ping', 'wrong-method'],
    ['POST', '/agents', 'wrong-method'],
    ['GET', '/agentsx', 'unknown'],
    ['GET', '/agents/x', 'unknown'],
    ['GET', '/agents//', 'moved'],
    ['GET', '/host/../agents', 'moved'],
    ['GET', '/v2/host/info', 'found'],
    ['GET', '/v1/ping', 'docker'],
    ['GET', '/kubernetes/api', 'unknown'],
    ['GET', '/info', 'docker'],
    ['POST', '/key', 'key'],
  ];
  for (const [method, path, kind] of answers) {
    it(`${method} ${path} is ${kind}`, () => {
      assert.equal(findOwnRoute(method, path, false, cleanPath).kind, kind);
    });
  }
});
