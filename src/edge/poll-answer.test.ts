// Poll answers: the recorded ones, Go's readings of odd ones, and a thousand hostile bodies.

import assert from 'node:assert/strict';
import { edgeVectors } from '../../test/support/edge-vectors.ts';
import { type Json, pick, type Random, randomObject, seeded } from '../../test/support/random-json.ts';
import { AgentError } from '../errors.ts';
import { parseGlobalKeyAnswer, parsePollAnswer } from './poll-answer.ts';

const idle = { status: 'IDLE', port: 0, schedules: [], checkin: 5, credentials: '', stacks: [] };

function parse(changes: object): ReturnType<typeof parsePollAnswer> {
  return parsePollAnswer(JSON.stringify({ ...idle, ...changes }));
}

describe('poll answer', () => {
  it('reads the recorded answers', () => {
    const [required, resting] = edgeVectors.poll.responses.map(({ body }) => parsePollAnswer(body));
    assert.deepEqual(required, {
      status: 'REQUIRED',
      port: 51_234,
      credentials: 'YebNjk0Glhwo0uNYx7bUQKAmdisjaFcQzkXyZ900Ubs/P3VmDj0YvRhKlFlP',
      checkinMs: 5_000,
      schedules: [
        {
          id: 2,
          cronExpression: '0 2 * * *',
          script: 'IyEvYmluL3NoCmVjaG8gaGVsbG8K',
          version: 1,
          collectLogs: false,
        },
      ],
      stacks: [{ id: 1, version: 3 }],
    });
    assert.deepEqual(resting, {
      status: 'IDLE',
      port: 0,
      credentials: '',
      checkinMs: 5_000,
      schedules: [],
      stacks: [],
    });
  });

  it('tells no stacks from nothing said of stacks', () => {
    assert.deepEqual(parse({ stacks: [] }).stacks, []);
    assert.equal(parse({ stacks: null }).stacks, undefined);
    assert.equal(parsePollAnswer('{"status":"IDLE"}').stacks, undefined);
  });

  it('reads names in any case, and absent members as Go does', () => {
    const answer = parsePollAnswer('{"Status":"IDLE","Schedules":[{"ID":4}],"STACKS":[{"id":5}]}');
    assert.deepEqual(answer.schedules, [
      { id: 4, cronExpression: '', script: '', version: 0, collectLogs: false },
    ]);
    assert.deepEqual(answer.stacks, [{ id: 5, version: 0 }]);
    assert.deepEqual(parse({ schedules: null }).schedules, []);
  });

  for (const [checkin, expected] of [
    [0, undefined],
    [-3, undefined],
    [2, 2_000],
    [0.01, 1_000],
    [1e9, 86_400_000],
  ] as const) {
    it(`takes a check-in of ${checkin} s as ${expected} ms`, () => {
      assert.equal(parse({ checkin }).checkinMs, expected);
    });
  }

  const refused: readonly (readonly [string, string])[] = [
    ['a page', '<html>'],
    ['nothing', ''],
    ['a list', '[]'],
    ['null', 'null'],
    ['half an answer', '{"status":"IDLE","port":0,"sched'],
    ['another status', '{"status":"OPEN"}'],
    ['a tunnel without a port', '{"status":"REQUIRED","credentials":"x"}'],
    ['a tunnel without credentials', '{"status":"REQUIRED","port":50000}'],
    ['a port that is none', '{"status":"IDLE","port":70000}'],
    ['an id that is no number', '{"status":"IDLE","stacks":[{"ID":"../1"}]}'],
    ['an id with a fraction', '{"status":"IDLE","schedules":[{"Id":1.5}]}'],
    ['a check-in that is no number', '{"status":"IDLE","checkin":"5"}'],
    [
      'more stacks than anybody has',
      JSON.stringify({ status: 'IDLE', stacks: Array(1_001).fill({ ID: 1 }) }),
    ],
    [
      'more jobs than anybody has',
      JSON.stringify({ status: 'IDLE', schedules: Array(1_001).fill({ Id: 1 }) }),
    ],
    ['credentials without end', JSON.stringify({ ...idle, credentials: 'x'.repeat(1_025) })],
    [
      'a cron expression without end',
      JSON.stringify({ ...idle, schedules: [{ Id: 1, CronExpression: '*'.repeat(257) }] }),
    ],
  ];
  for (const [name, body] of refused) {
    it(`refuses ${name}`, () => {
      assert.throws(() => parsePollAnswer(body), { code: 'protocol-violation' });
    });
  }

  it('reads the id of a global key, which is never 0', () => {
    assert.equal(parseGlobalKeyAnswer('{"endpointID":9}'), 9);
    for (const body of ['{}', '{"endpointID":0}', '{"endpointID":"9"}', 'x'])
      assert.throws(() => parseGlobalKeyAnswer(body), { code: 'protocol-violation' });
  });

  it('answers 1,000 hostile bodies with an answer in its bounds or one clear error', () => {
    const random = seeded(5_002);
    let answers = 0;
    for (let at = 0; at < 1_000; at += 1) {
      const body = hostileBody(random);
      try {
        const { port, credentials, schedules, stacks = [], checkinMs = 1_000 } = parsePollAnswer(body);
        answers += 1;
        assert.ok(port >= 0 && port <= 65_535 && credentials.length <= 1_024);
        assert.ok(checkinMs >= 1_000 && checkinMs <= 86_400_000);
        for (const { id } of [...schedules, ...stacks]) assert.ok(Number.isSafeInteger(id) && id >= 0);
      } catch (error) {
        assert.ok(error instanceof AgentError, `${body}: ${String(error)}`);
        assert.equal(error.code, 'protocol-violation');
      }
    }
    assert.ok(answers > 50, `${answers} of them were answers`);
  });
});

/** A value of any kind. */
function randomJson(random: Random, depth: number): Json {
  const all = randomObject(random, depth);
  return random() < 0.2 ? all : (Object.values(all)[0] ?? null);
}

function hostileBody(random: Random): string {
  const [{ body = '' } = {}] = edgeVectors.poll.responses;
  const value = JSON.parse(body) as Record<string, unknown>;
  const names = Object.keys(value);
  if (random() < 0.8) value[names[pick(random, names.length)] ?? ''] = randomJson(random, 3);
  if (random() < 0.2)
    value.schedules = [randomJson(random, 3), { Id: pick(random, 5), Script: randomJson(random, 2) }];
  if (random() < 0.1) delete value[names[pick(random, names.length)] ?? ''];
  const text = JSON.stringify(value);
  return random() < 0.1 ? text.slice(0, pick(random, text.length)) : text;
}
