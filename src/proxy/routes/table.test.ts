// The table against the engine's published API description, kept as data, and against itself.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Route } from './route.ts';
import { routes } from './table.ts';

interface Description {
  readonly version: string;
  /** As `GET /containers/{id}/json`. */
  readonly operations: readonly string[];
  /** Operations whose answer is not JSON, with its content types. */
  readonly streams: Readonly<Record<string, readonly string[]>>;
}

const folder = join(import.meta.dirname, '../../../test/data/engine-api');
const descriptions = ['1.41', '1.56'].map(
  // The files are ours: `how` says in each how it was made.
  (version) => JSON.parse(readFileSync(join(folder, `v${version}.json`), 'utf8')) as Description,
);

/** What engines answer to although no description names it. */
const undescribed: Readonly<Record<string, string>> = {
  'GET /containers/{}/checkpoints': 'experimental engines only',
  'POST /containers/{}/checkpoints': 'experimental engines only',
  'DELETE /containers/{}/checkpoints/{}': 'experimental engines only',
  'POST /containers/{}/copy': 'before API 1.24; engine 20.10 still serves it to such clients',
  'GET /networks/': 'registered beside /networks',
  'POST /build/cancel': 'BuildKit clients end a build with it',
  'POST /grpc': 'BuildKit clients reach the builder through it',
};

/** Descriptions and engines name parameters differently, so names do not count. */
function shape(operation: string): string {
  return operation.replaceAll(/\{[^}]*\}/g, '{}');
}

function shapeOf({ method, path }: Route): string {
  return shape(`${method} ${path}`);
}

describe('route table', () => {
  for (const { version, operations } of descriptions) {
    it(`has each of the ${operations.length} operations of API ${version}`, () => {
      assert.ok(operations.length > 100);
      const known = new Set(routes.map(shapeOf));
      assert.deepEqual(
        operations.filter((operation) => !known.has(shape(operation))),
        [],
      );
    });
  }

  it('has nothing else, but for routes with a reason', () => {
    const described = new Set(descriptions.flatMap(({ operations }) => operations.map(shape)));
    const others = routes.map(shapeOf).filter((route) => !described.has(route));
    assert.deepEqual(others.toSorted(), Object.keys(undescribed).toSorted());
  });

  it('has each route once', () => {
    assert.equal(new Set(routes.map(shapeOf)).size, routes.length);
  });

  it('takes every answer that is not JSON for a stream', () => {
    const streams = new Set(descriptions.flatMap((each) => Object.keys(each.streams).map(shape)));
    assert.ok(streams.size > 5);
    const short = routes.filter((route) => streams.has(shapeOf(route)) && route.stream === 'short');
    assert.deepEqual(short, []);
  });

  it('gives a deadline to what is short, and to nothing else', () => {
    for (const route of routes) {
      assert.equal(route.deadline === 'none', route.stream !== 'short', shapeOf(route));
    }
  });

  it('names an owner by a parameter of its path', () => {
    for (const { where, path } of routes) {
      if (where.kind === 'owner') assert.match(path, new RegExp(`\\{${where.param}[:}]`));
    }
  });

  it('calls nothing that changes something merely a read', () => {
    const reads = ['open', 'read', 'reveals'];
    const harmless = ['POST /containers/{}/wait', 'POST /containers/{}/copy'];
    const changing = routes.filter(({ method }) => method !== 'GET' && method !== 'HEAD');
    assert.deepEqual(
      changing
        .filter(({ sensitivity }) => reads.includes(sensitivity))
        .map(shapeOf)
        .toSorted(),
      harmless.toSorted(),
    );
  });

  it('leaves none of the reads that hand data out to a profile that only reads (attack A-28)', () => {
    const handOut = /archive|export|\/get$|logs|attach|changes|top$|swarm|configs|info|attestations/;
    const leaking = routes.filter(
      ({ method, path, sensitivity }) =>
        method === 'GET' && handOut.test(path) && (sensitivity === 'open' || sensitivity === 'read'),
    );
    assert.deepEqual(leaking, []);
  });
});
