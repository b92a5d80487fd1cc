// Which node can put several images into one archive.

import assert from 'node:assert/strict';
import {
  type AnsweringClusterOptions,
  answeringNowMs,
  createAnsweringCluster,
  partOf,
} from '../../../test/support/answering-cluster.ts';
import { recordedAnswer } from '../../../test/support/engine-answers.ts';
import { AgentError } from '../../errors.ts';
import { createFindImages, type ImagesGetRoute, maxImageNames } from './images-get.ts';

type Images = Readonly<Record<string, readonly string[]>>;

describe('images of one archive', () => {
  const find = async (
    images: Images,
    names: readonly string[],
    more: Partial<AnsweringClusterOptions> & { readonly strict?: boolean } = {},
  ) => {
    const { strict = false, ...options } = more;
    const { ask, call, asked } = createAnsweringCluster({
      nodes: Object.keys(images).map((nodeName) => ({ nodeName })),
      answer: (node, { path }) => {
        const name = decodeURIComponent(/^\/v1\.41\/images\/(.+)\/json$/.exec(path)?.[1] ?? '');
        return images[node]?.includes(name)
          ? partOf({ Id: `id of ${name}` })
          : recordedAnswer('node-1', 'GET /images/nope/json');
      },
      ...options,
    });
    const now = (): number => answeringNowMs;
    const route = await createFindImages({ ask, now })(names, call('/v1.41/images/get?names=x', { strict }));
    return { route, asked };
  };
  const nodeOf = (route: ImagesGetRoute): string =>
    route.kind === 'route' ? route.member.record.nodeName : `${route.answer.status}`;

  const cases: readonly (readonly [string, Images, readonly string[], string])[] = [
    ['this node where it has all', { a: ['x', 'y'], b: ['x', 'y'] }, ['x', 'y'], 'a'],
    ['another that has all', { a: ['x'], b: ['x', 'y'], c: ['y'] }, ['x', 'y'], 'b'],
    ['this node for no name at all', { a: [], b: [] }, [], 'a'],
    [
      'a node for a name with slashes, a port and a digest',
      { a: [], b: ['h:5/r/i@sha256:1'] },
      ['h:5/r/i@sha256:1'],
      'b',
    ],
    ['nobody where the images are spread', { a: ['x'], b: ['y'] }, ['x', 'y'], '404'],
    ['nobody for what nobody has', { a: ['x'], b: ['y'] }, ['x', 'z'], '404'],
    ['nobody for what is no name', { a: ['x'], b: [] }, ['x', '../../info'], '404'],
  ];
  for (const [name, images, names, expected] of cases) {
    it(`come from ${name}`, async () => assert.equal(nodeOf((await find(images, names)).route), expected));
  }

  it('are looked for here first, each name once', async () => {
    const { asked } = await find({ a: ['x', 'y'], b: ['x', 'y'] }, ['x', 'y', 'x']);
    assert.deepEqual(
      asked.map(({ node, method, path }) => `${node} ${method} ${path}`),
      ['a GET /v1.41/images/x/json', 'a GET /v1.41/images/y/json'],
    );
  });

  it('are told apart by who has what', async () => {
    const { route } = await find({ a: ['x'], b: ['x', 'y'], c: ['z'] }, ['x', 'y', 'z']);
    assert.ok(route.kind === 'answer');
    assert.deepEqual(JSON.parse(String(route.answer.body)), {
      message: 'flotilla: no node has all of these images: x on a, b; y on b; z on c',
      holders: [
        { name: 'x', nodes: ['a', 'b'] },
        { name: 'y', nodes: ['b'] },
        { name: 'z', nodes: ['c'] },
      ],
    });
  });

  it('are not said to be nowhere without naming who was not asked', async () => {
    const silent: Partial<AnsweringClusterOptions> = {
      answer: (node) => {
        if (node === 'b') throw new AgentError('timeout', 'no answer');
        return partOf({ message: 'x' }, 404);
      },
    };
    const { route } = await find({ a: [], b: [] }, ['x'], silent);
    assert.ok(route.kind === 'answer');
    assert.equal(route.answer.status, 404);
    assert.match(String(route.answer.body), /No such image: x \(flotilla: not asked: b, timeout\)/);
    assert.ok(route.answer.headers.includes('asked=2, answered=1, missing=1'));
    assert.equal(nodeOf((await find({ a: [], b: [] }, ['x'], { ...silent, strict: true })).route), '503');
    const gone = {
      answer: (): never => {
        throw new AgentError('engine-unreachable', 'no engine');
      },
    };
    assert.equal(nodeOf((await find({ a: [], b: [] }, ['x'], gone)).route), '503');
  });

  it('are not asked for beyond a bound', async () => {
    const names = Array.from({ length: maxImageNames + 1 }, (_, index) => `n${index}`);
    const { route, asked } = await find({ a: names, b: [] }, names);
    assert.deepEqual([nodeOf(route), asked.length], ['400', 0]);
    assert.equal(nodeOf((await find({ a: names, b: [] }, names.slice(1))).route), 'a');
  });
});
