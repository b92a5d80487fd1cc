// Fan-out to real TLS peers that answer, hang, break, lie and die: what each looks like, how long it takes, and that
// the others' answers are there all the same.

import assert from 'node:assert/strict';
import type { RequestListener } from 'node:http';
import { eventually } from '../../test/support/eventually.ts';
import {
  createViews,
  type FakePeer,
  memberOf,
  startFakePeer,
  type Views,
} from '../../test/support/fake-peer.ts';
import { createTestIdentity } from '../../test/support/identity.ts';
import { AgentError } from '../errors.ts';
import { silentLogger } from '../log.ts';
import { peerPaths } from '../wire.ts';
import { createPeerTransports, type PeerTransports } from './agent-transport.ts';
import { type Breakers, createBreakers } from './breakers.ts';
import {
  type FanOutOptions,
  fanOut,
  type MissingReason,
  maxPartBytes,
  missingReasonOf,
  type NodeOutcome,
} from './fan-out.ts';
import { maxIdleLimits } from './fetch-part.ts';
import type { FetchedPart } from './proxy.ts';

const request = { method: 'GET', path: '/containers/json', rawHeaders: [] };
const part = (text: string): FetchedPart => ({ status: 200, rawHeaders: [], body: Buffer.from(text) });
/** For members that answer. A machine with much to do may let them wait. */
const deadlineMs = 10_000;
/** For members that do not, while others are to answer within it. */
const shortMs = 500;
/** More than any test of a short deadline takes, and less than a deadline that is waited for. */
const promptMs = 8_000;

/** Answers lists as given; health always. */
function listing(listener: RequestListener): RequestListener {
  return (req, res) => {
    if (req.url === peerPaths.health) res.writeHead(204).end();
    else listener(req, res);
  };
}

const good = listing((_req, res) => res.end('[{"Id":"good"}]'));
const hanging = listing(() => undefined);

describe('fan-out', () => {
  let steady: FakePeer;
  let faulty: FakePeer;
  let views: Views;
  let transports: PeerTransports;
  let breakers: Breakers;

  beforeEach(async () => {
    [steady, faulty] = await Promise.all([startFakePeer('steady'), startFakePeer('faulty')]);
    steady.serve(good);
    views = createViews([steady.member, faulty.member]);
    transports = createPeerTransports(views, { ...(await createTestIdentity()), passSignature: false });
    breakers = createBreakers({ ...views, probe: transports.probe, log: silentLogger });
    transports.start();
    breakers.start();
  });

  afterEach(async () => {
    breakers.stop();
    await transports.stop();
    await eventually(() => steady.openSockets() + faulty.openSockets() === 0);
    await Promise.all([steady[Symbol.asyncDispose](), faulty[Symbol.asyncDispose]()]);
  });

  const run = (options: Partial<FanOutOptions> = {}): Promise<readonly NodeOutcome[]> =>
    fanOut(
      {
        askEngine: () => Promise.resolve(part('[{"Id":"self"}]')),
        askMember: (member, limits) => transports.fetchDecorated(member, request, limits),
        breakers,
        now: () => 7_000,
      },
      {
        view: views.view(),
        signal: new AbortController().signal,
        deadlineMs,
        breaker: 'opened',
        members: 'asked',
        ...options,
      },
    );

  it('asks its own engine behind the others: it may take the processor from who has yet to ask them', async () => {
    const asked: string[] = [];
    const note = (name: string): Promise<FetchedPart> => {
      asked.push(name);
      return Promise.resolve(part('[]'));
    };
    const outcomes = await fanOut(
      {
        askEngine: () => note('self'),
        askMember: (member) => note(member.record.nodeName),
        breakers,
        now: Date.now,
      },
      {
        view: views.view(),
        signal: new AbortController().signal,
        deadlineMs,
        breaker: 'opened',
        members: 'asked',
      },
    );
    assert.deepEqual(asked, ['steady', 'faulty', 'self']);
    assert.deepEqual(
      outcomes.map(({ node }) => node),
      ['self', 'steady', 'faulty'],
    );
  });

  it('asks everyone and keeps the order of the view', async () => {
    faulty.serve(good);
    assert.deepEqual((await run()).map(summary), [
      'self [{"Id":"self"}]',
      'steady [{"Id":"good"}]',
      'faulty [{"Id":"good"}]',
    ]);
  });

  const faults: readonly (readonly [string, RequestListener, MissingReason])[] = [
    ['hangs', hanging, 'timeout'],
    ['stalls within its answer', listing((_req, res) => void res.writeHead(200).write('[{"Id":')), 'timeout'],
    ['resets', listing((req) => void req.socket.destroy()), 'reset'],
    [
      'sends half an answer',
      listing(
        (_req, res) => void res.writeHead(200, { 'Content-Length': '99' }).write('[', () => res.destroy()),
      ),
      'reset',
    ],
    ['answers garbage', listing((req) => void req.socket.end('garbage\r\n\r\n')), 'bad-answer'],
  ];
  for (const [name, listener, reason] of faults) {
    it(`names a member that ${name}, within its deadline, and has the others`, async () => {
      // Connections are there: what the others are given is for their answers alone.
      faulty.serve(good);
      await run();
      faulty.serve(listener);
      const startedMs = performance.now();
      const outcomes = await run({ deadlineMs: shortMs });
      const tookMs = performance.now() - startedMs;
      assert.deepEqual(outcomes.map(summary), [
        'self [{"Id":"self"}]',
        'steady [{"Id":"good"}]',
        `faulty ${reason} 7000`,
      ]);
      assert.ok(tookMs < promptMs, `took ${tookMs} ms`);
    });
  }

  it('names a member that drips for longer than it may take as a whole, and asks it no more', async () => {
    let dripping: NodeJS.Timeout | undefined;
    faulty.serve(
      listing((_req, res) => {
        res.writeHead(200).write('[');
        dripping = setInterval(() => res.write(' '), 20);
        res.on('close', () => clearInterval(dripping));
      }),
    );
    const startedMs = performance.now();
    const outcomes = await run({ deadlineMs: shortMs });
    const tookMs = performance.now() - startedMs;
    clearInterval(dripping);
    assert.deepEqual(outcomes.map(summary), [
      'self [{"Id":"self"}]',
      'steady [{"Id":"good"}]',
      'faulty timeout 7000',
    ]);
    const wholeMs = shortMs * maxIdleLimits;
    assert.ok(tookMs >= wholeMs && tookMs < wholeMs + promptMs, `took ${tookMs} ms`);
    assert.equal(reasonOf((await run())[2]), 'breaker-open');
  });

  it('has a part that is long under way within what it may take as a whole', async () => {
    faulty.serve(
      listing((_req, res) => {
        res.writeHead(200).write('[');
        const dripping = setInterval(() => res.write(' '), 50);
        setTimeout(() => {
          clearInterval(dripping);
          res.end(']');
        }, 2 * shortMs);
      }),
    );
    assert.match(summary((await run({ deadlineMs: shortMs }))[2]), /^faulty \[ +\]$/);
  });

  it('does not keep a part beyond its bound', async () => {
    faulty.serve(
      listing((_req, res) => {
        const chunk = Buffer.alloc(1024 * 1024, 0x20);
        for (let sent = 0; sent <= maxPartBytes; sent += chunk.length) res.write(chunk);
        res.end();
      }),
    );
    assert.equal(summary((await run())[2]), 'faulty too-large 7000');
  });

  it('names a member with a closed port, and one with another certificate', async () => {
    const impostor = memberOf({
      ...faulty.member.record,
      tlsFingerprint: steady.member.record.tlsFingerprint,
    });
    const closed = memberOf({ nodeName: 'closed', peerPort: 1 });
    views.change([impostor, closed]);
    const outcomes = await run();
    assert.deepEqual(outcomes.slice(1).map(summary), ['faulty untrusted 7000', 'closed refused 7000']);
    assert.deepEqual((await run()).slice(1).map(reasonOf), ['breaker-open', 'breaker-open']);
    assert.equal(faulty.requests.length, 0);
  });

  it('asks a member that hung no more, until a probe has passed', async () => {
    faulty.serve(() => undefined);
    assert.equal(reasonOf((await run({ deadlineMs: shortMs }))[2]), 'timeout');
    const asked = faulty.requests.length;
    const startedMs = performance.now();
    assert.equal(reasonOf((await run())[2]), 'breaker-open');
    assert.ok(performance.now() - startedMs < promptMs);
    assert.equal(faulty.requests.filter(({ url }) => url === request.path).length, asked);
    faulty.serve(good);
    // How soon that is, the lab of faults measures on a machine of its own.
    await eventually(async () => summary((await run())[2]) === 'faulty [{"Id":"good"}]');
  });

  it('ends the waits in progress when the breaker opens', async () => {
    faulty.serve(hanging);
    const first = run({ deadlineMs: 100 });
    await eventually(() => faulty.requests.length === 1);
    const startedMs = performance.now();
    const waiting = Array.from({ length: 20 }, () => run());
    assert.equal(reasonOf((await first)[2]), 'timeout');
    for (const outcomes of await Promise.all(waiting)) assert.equal(reasonOf(outcomes[2]), 'breaker-open');
    assert.ok(performance.now() - startedMs < promptMs);
    await eventually(() => faulty.openSockets() === 0);
  });

  it('ends the waits in progress when the member dies, and names it from the view after that', async () => {
    faulty.serve(hanging);
    const waiting = run();
    await eventually(() => faulty.requests.length === 1);
    const { nodeName, engineId } = faulty.member.record;
    views.change([steady.member], [{ nodeName, engineId, reason: 'dead', sinceMs: 123 }]);
    assert.equal(reasonOf((await waiting)[2]), 'dead');
    assert.deepEqual((await run()).map(summary), [
      'self [{"Id":"self"}]',
      'steady [{"Id":"good"}]',
      'faulty dead 123',
    ]);
  });

  it('does not open the breaker for a missed deadline of the slow class', async () => {
    faulty.serve(hanging);
    assert.equal(reasonOf((await run({ breaker: 'heeded', deadlineMs: shortMs }))[2]), 'timeout');
    faulty.serve(good);
    assert.equal(reasonOf((await run())[2]), undefined);
  });

  it('asks a member for work whose breaker is open, and waits for it while it opens', async () => {
    faulty.serve(hanging);
    const work = run({ breaker: 'ignored' });
    await eventually(() => faulty.requests.length === 1);
    assert.equal(reasonOf((await run({ deadlineMs: 100 }))[2]), 'timeout');
    assert.equal(reasonOf((await run())[2]), 'breaker-open');
    faulty.serve(good);
    assert.equal(summary((await run({ breaker: 'ignored' }))[2]), 'faulty [{"Id":"good"}]');
    const { nodeName, engineId } = faulty.member.record;
    views.change([steady.member], [{ nodeName, engineId, reason: 'dead', sinceMs: 123 }]);
    assert.equal(reasonOf((await work)[2]), 'dead');
  });

  it('asks no member for a client without authority over them', async () => {
    const outcomes = await run({ members: 'no-cluster-secret' });
    assert.deepEqual(outcomes.map(reasonOf), [undefined, 'no-cluster-secret', 'no-cluster-secret']);
    assert.equal(steady.requests.length, 0);
  });

  it('is cancelled with its client, and blames nobody', async () => {
    faulty.serve(hanging);
    const controller = new AbortController();
    const running = run({ signal: controller.signal });
    await eventually(() => faulty.requests.length === 1);
    controller.abort(new AgentError('cancelled', 'client left'));
    await assert.rejects(running, (error) => error instanceof AgentError && error.code === 'cancelled');
    await eventually(() => faulty.openSockets() === 0);
    assert.equal(breakers.openSince(faulty.member), undefined);
  });

  it('knows the reason of each failure', () => {
    const cases: readonly (readonly [unknown, MissingReason])[] = [
      [new AgentError('timeout', 'x'), 'timeout'],
      [new AgentError('limit-exceeded', 'x'), 'too-large'],
      [new AgentError('member-untrusted', 'x'), 'untrusted'],
      [new AgentError('member-unreachable', 'x'), 'refused'],
      [new AgentError('engine-unreachable', 'x'), 'refused'],
      [new AgentError('protocol-violation', 'x'), 'bad-answer'],
      [Object.assign(new Error('x'), { code: 'ECONNREFUSED' }), 'refused'],
      [Object.assign(new Error('x'), { code: 'ENOENT' }), 'refused'],
      [Object.assign(new Error('x'), { code: 'ECONNRESET' }), 'reset'],
      [new Error('x'), 'bad-answer'],
      ['x', 'bad-answer'],
    ];
    for (const [error, wanted] of cases) assert.equal(missingReasonOf(error), wanted, String(error));
  });
});

function summary(given: NodeOutcome | undefined): string {
  if (given === undefined) return 'nothing';
  const { node, outcome } = given;
  return outcome.kind === 'answer'
    ? `${node} ${outcome.part.body.toString()}`
    : `${node} ${outcome.reason} ${outcome.sinceMs}`;
}

function reasonOf(given: NodeOutcome | undefined): MissingReason | undefined {
  return given?.outcome.kind === 'missing' ? given.outcome.reason : undefined;
}
