// Rows C1 to C15: the listener, who may speak to it, and what passes through.

import { deepEqual, equal, match, notEqual, ok, rejects } from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { assertAgentHeaders, assertErrorBody } from '../../support/checks.ts';
import { eventually } from '../../support/eventually.ts';
import { connectRaw, requestRaw, staysOpen } from '../../support/raw-http.ts';
import { createSigner } from '../../support/signer.ts';
import { startStopwatch } from '../../support/stopwatch.ts';
import { vectors } from '../../support/vectors.ts';
import { type Bench, type Box, type FreshAgent, messageOf, steer } from './bench.ts';
import type { Row } from './row.ts';
import { lastOf } from './rows-swarm.ts';
import { tarHead, tarTail } from './tar.ts';

const mebibyte = 1_048_576;
/** Less than what is sent, so that an agent which gathers a body is found. */
const maxGrowthBytes = 64 * mebibyte;
const sampleEveryBytes = 8 * mebibyte;
const transferTimeoutMs = 300_000;
const invalidSignature = 'Invalid request signature';
const forged = { ...createSigner().headers(), 'X-PortainerAgent-Signature': 'A'.repeat(86) };

export const listenerRows: readonly Row[] = [
  {
    id: 'C1',
    what: 'GET /ping without any header: 204, no body, three agent headers, within 3 s',
    async run({ address }) {
      for (const path of ['/ping', '/v2/ping']) {
        using asking = startStopwatch();
        const answer = await requestRaw(address, { path });
        ok(asking.elapsedMs() < 3_000);
        deepEqual([answer.status, answer.body.length], [204, 0]);
        assertAgentHeaders(answer);
      }
    },
  },
  {
    id: 'C2',
    what: 'HEAD /_ping signed: 200 with Api-Version, without a body',
    async run({ ask }) {
      const answer = await ask({ method: 'HEAD', path: '/_ping' });
      equal(answer.status, 200);
      match(answer.headers.get('api-version') ?? '', /^\d+\.\d+$/);
      equal(answer.body.length, 0);
    },
  },
  {
    id: 'C3',
    what: 'unsigned GET /_ping: 403 in the known words',
    async run({ address }) {
      const answer = await requestRaw(address, { path: '/_ping' });
      assertErrorBody(answer, 403, { message: 'Missing request signature headers', details: 'Unauthorized' });
      assertAgentHeaders(answer);
    },
  },
  {
    id: 'C4',
    what: 'second key pair after association: 403 with the text that the server looks for',
    needs: ['no-secret'],
    async run({ ask, address }) {
      equal((await ask({ path: '/_ping' })).status, 200);
      const answer = await requestRaw(address, { path: '/_ping', headers: createSigner().headers() });
      equal(answer.status, 403);
      equal(answer.headers.get('content-type'), 'application/json');
      equal(messageOf(answer), invalidSignature);
    },
  },
  {
    id: 'C5',
    what: 'every recorded signature is accepted or refused as recorded',
    needs: ['fresh'],
    timeoutMs: 120_000,
    run: checkRecordedSignatures,
  },
  {
    id: 'C6',
    what: 'with AGENT_SECRET: two key pairs both work, the default message fails',
    needs: ['fresh'],
    async run({ abilities }) {
      const secret = 'a secret of the suite';
      await using agent = await fresh(abilities, { AGENT_SECRET: secret });
      for (const signer of [createSigner({ secret }), createSigner({ secret })])
        equal((await ping(agent, signer.headers())).status, 200);
      equal(messageOf(await ping(agent, createSigner().headers())), invalidSignature);
    },
  },
  {
    id: 'C7',
    what: 'a request with a bad signature does not take the association',
    insteadOf: 'it does, and the agent is lost to its owner',
    needs: ['fresh'],
    async run({ abilities }) {
      await using agent = await fresh(abilities, {});
      equal((await ping(agent, forged)).status, 403);
      equal((await ping(agent, createSigner().headers())).status, 200);
    },
  },
  {
    id: 'C8',
    what: 'a version in front of any path leads to the right router, and never to Docker',
    async run({ ask, address }) {
      equal((await requestRaw(address, { path: '/v1.41/ping' })).status, 204);
      // No engine speaks these: they answer 400 where the version is passed on.
      for (const path of ['/v1.45/version', '/v1.99/version', '/v1.99/_ping'])
        equal((await ask({ path })).status, 200, path);
      const { status } = await ask({ path: '/agents' });
      for (const path of ['/v2/agents', '/v1/agents', '/v1.41/v2/agents', '/v1.41/agents']) {
        const answer = await ask({ path });
        equal(answer.status, status, path);
        equal(answer.headers.get('api-version'), undefined, 'the engine was not asked');
      }
    },
  },
  {
    id: 'C9',
    what: 'agent routers: unknown path 404, wrong method 405, agent headers on both',
    async run({ address }) {
      for (const path of ['/pingx', '/agents/more', '/agentsx', '/host/nothing', '/v2/dockerhub/x']) {
        const answer = await requestRaw(address, { path });
        deepEqual([answer.status, answer.body.toString()], [404, '404 page not found\n'], path);
        assertAgentHeaders(answer);
      }
      for (const [method, path] of [
        ['POST', '/ping'],
        ['DELETE', '/v2/agents'],
        ['GET', '/v2/dockerhub'],
        ['POST', '/websocket/exec'],
      ] as const) {
        const answer = await requestRaw(address, { method, path });
        deepEqual([answer.status, answer.body.length], [405, 0], path);
        assertAgentHeaders(answer);
      }
    },
  },
  {
    id: 'C10',
    what: 'an idle connection is kept for 119 s, again and again, and takes a POST each time',
    waits: true,
    timeoutMs: 3_600_000,
    async run(bench) {
      // Two that do not meet: an engine refuses a prune, of whatever kind, while it is at another.
      const long = bench.long ? [postInTurn(bench, startNothing, 200, 10_000)] : [];
      await Promise.all([postInTurn(bench, pruneNothing, 3, 119_000), ...long]);
    },
  },
  {
    id: 'C11',
    what: 'a large request body and a large answer pass, byte for byte',
    timeoutMs: transferTimeoutMs,
    run: (bench) => transfer(bench, bench.box()),
  },
  {
    id: 'C11 memory',
    what: 'memory stays flat all the time that a large body passes, each way',
    needs: ['residentBytes'],
    timeoutMs: transferTimeoutMs,
    run: (bench) => checkFlatMemory(bench, bench.box()),
  },
  {
    id: 'C11 relay',
    what: 'so it does at both agents that a large body passes to another node, each way',
    needs: ['swarm', 'residentBytes'],
    timeoutMs: transferTimeoutMs,
    run: (bench) => checkFlatMemory(bench, bench.box(lastOf(bench))),
  },
  {
    id: 'C12',
    what: 'logs?follow=1 delivers each line at once',
    insteadOf: 'it is held until 2 KiB are gathered',
    run: checkFollowedLogs,
  },
  {
    id: 'C13',
    what: 'TLS 1.2 and 1.3 are accepted, 1.1 is refused; the certificate is the agent’s own',
    async run({ address }) {
      for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const)
        equal((await requestRaw({ ...address, maxVersion }, { path: '/ping' })).status, 204);
      await rejects(connectRaw({ ...address, maxVersion: 'TLSv1.1' }), /alert|version|protocol/i);
      await using connection = await connectRaw(address);
      // A connection to a TLS address is one over TLS.
      const { subject, issuer, valid_to } = (
        connection.socket as import('node:tls').TLSSocket
      ).getPeerCertificate();
      deepEqual(subject, issuer);
      ok(Date.parse(valid_to) > Date.now());
    },
  },
  {
    id: 'C14',
    what: 'the API stops after AGENT_SECRET_TIMEOUT when nobody is associated, and the process stays',
    needs: ['fresh'],
    async run({ abilities }) {
      await using agent = await fresh(abilities, { AGENT_SECRET_TIMEOUT: '6s' });
      equal((await requestRaw(agent.compat, { path: '/ping' })).status, 204);
      await eventually(() => rejects(requestRaw(agent.compat, { path: '/ping' })), { withinMs: 30_000 });
      ok(agent.running());
    },
  },
  {
    id: 'C15',
    what: 'a browser’s Cookie and Authorization reach neither the Docker socket nor the log',
    insteadOf: 'they do reach the socket',
    needs: ['fresh'],
    async run({ abilities }) {
      const pieces: Buffer[] = [];
      await using agent = await fresh(abilities, { LOG_LEVEL: 'DEBUG' }, (bytes) => pieces.push(bytes));
      const secrets = { Cookie: 'session=c0okie-s3cret', Authorization: 'Bearer t0ken-s3cret' };
      const signature = createSigner().headers();
      for (const path of ['/version?seen=1', '/containers/none/json', '/v2/agents'])
        await requestRaw(agent.compat, { path, headers: { ...signature, ...secrets } });
      const seen = Buffer.concat(pieces).toString('latin1');
      match(seen, /\/version\?seen=1/);
      for (const text of [seen, agent.logText()]) {
        ok(!text.includes('s3cret'));
        ok(!text.includes(signature['X-PortainerAgent-Signature']));
      }
    },
  },
];

function fresh(
  { fresh: start }: Bench['abilities'],
  env: Readonly<Record<string, string>>,
  recorded?: (bytes: Buffer) => void,
): Promise<FreshAgent> {
  if (start === undefined) throw new Error('a row was run without what it needs');
  return start(env, recorded);
}

function ping(
  { compat }: FreshAgent,
  headers: Readonly<Record<string, string>>,
): ReturnType<typeof requestRaw> {
  return requestRaw(compat, { path: '/_ping', headers });
}

async function checkRecordedSignatures({ abilities }: Bench): Promise<void> {
  const { valid, invalid } = vectors.signature;
  const withSecret = (agentSecret: string): Readonly<Record<string, string>> =>
    agentSecret === '' ? {} : { AGENT_SECRET: agentSecret };
  for (const { name, agentSecret, headers } of valid) {
    await using agent = await fresh(abilities, withSecret(agentSecret));
    equal((await ping(agent, headers)).status, 200, name);
  }
  for (const agentSecret of new Set(invalid.map((one) => one.agentSecret))) {
    await using agent = await fresh(abilities, withSecret(agentSecret));
    for (const one of invalid.filter((each) => each.agentSecret === agentSecret)) {
      const answer = await ping(agent, one.headers);
      equal(answer.status, one.status, one.name);
      equal(messageOf(answer), one.body?.message ?? one.messageOnly, one.name);
    }
  }
}

interface HarmlessPost {
  readonly path: string;
  readonly status: number;
}

const ofNothing = encodeURIComponent('{"label":["flotilla.conformance=of-nothing"]}');
const pruneNothing: HarmlessPost = { path: `/containers/prune?filters=${ofNothing}`, status: 200 };
const startNothing: HarmlessPost = { path: '/containers/flotilla-conformance-none/start', status: 404 };

/** Over one connection; a reset on the way fails the row. */
async function postInTurn(
  { connect, signer }: Bench,
  { path, status }: HarmlessPost,
  times: number,
  pauseMs: number,
): Promise<void> {
  await using connection = await connect();
  for (let sent = 0; sent < times; sent += 1) {
    if (sent > 0) await staysOpen(connection, pauseMs);
    await connection.request({
      method: 'POST',
      path,
      headers: signer.headers(),
      body: '',
    });
    equal((await connection.answer()).status, status, `request ${sent + 1}`);
  }
}

/** A file into the box and back; `passed` is told after each stretch of either way. */
async function transfer(bench: Bench, box: Box, passed?: () => Promise<void>): Promise<void> {
  const bytes = (bench.long ? 1_024 : 96) * mebibyte;
  const piece = Buffer.alloc(mebibyte);
  for (let at = 0; at < piece.length; at += 1) piece[at] = (at * 31 + (at >> 8)) & 0xff;
  const headers = { ...bench.signer.headers(), ...steer(box.node) };
  const sentHash = createHash('sha256');
  {
    await using up = await bench.connect();
    const [head, tail] = [tarHead('big', bytes), tarTail()];
    await up.request({
      method: 'PUT',
      path: `/containers/${box.id}/archive?path=/v`,
      headers: { ...headers, 'Content-Length': String(head.length + bytes + tail.length) },
    });
    await up.send(head);
    for (let sent = 0; sent < bytes; sent += piece.length) {
      if (sent % sampleEveryBytes === 0) await passed?.();
      sentHash.update(piece);
      await up.send(piece);
    }
    await up.send(tail);
    equal((await up.answer()).status, 200);
  }
  const gotHash = createHash('sha256');
  await using down = await bench.connect();
  await down.request({ path: `/containers/${box.id}/archive?path=/v/big`, headers });
  const head = await down.head();
  equal(head.status, 200);
  // One file behind one header, in as many blocks as it takes.
  let skip = 512;
  let left = bytes;
  let sampled = bytes;
  for await (const chunk of down.body(head)) {
    const behind = chunk.subarray(Math.min(skip, chunk.length));
    skip -= chunk.length - behind.length;
    const content = behind.subarray(0, left);
    left -= content.length;
    gotHash.update(content);
    if (sampled - left < sampleEveryBytes) continue;
    sampled = left;
    await passed?.();
  }
  equal(left, 0);
  equal(gotHash.digest('hex'), sentHash.digest('hex'));
  await bench.runIn(box, ['rm', '/v/big']);
}

/** Of each agent on the way. */
async function checkFlatMemory(bench: Bench, box: Box): Promise<void> {
  const { residentBytes } = bench.abilities;
  if (residentBytes === undefined) throw new Error('a row was run without what it needs');
  const nodes = [...new Set([bench.box().node, box.node])];
  const before = await Promise.all(nodes.map((node) => residentBytes(node)));
  let samples = 0;
  await transfer(bench, box, async () => {
    samples += 1;
    for (const [at, node] of nodes.entries()) {
      const grown: number = (await residentBytes(node)) - (before[at] ?? 0);
      ok(grown < maxGrowthBytes, `resident memory of ${node || 'the agent'} grew by ${grown} bytes`);
    }
  });
  ok(samples >= 20, `only ${samples} samples`);
}

async function checkFollowedLogs(bench: Bench): Promise<void> {
  const lines = 6;
  const script = `i=0; while [ $i -lt ${lines} ]; do sleep 1; echo line $i; i=$((i+1)); done; sleep 1000`;
  await using container = await bench.container(bench.box().node, { Cmd: ['sh', '-c', script], Tty: true });
  await using logs = await bench.connect();
  await logs.request({
    path: `/containers/${container.id}/logs?follow=1&stdout=1`,
    headers: bench.signer.headers(),
  });
  const body = logs.body(await logs.head());
  let text = '';
  let pieces = 0;
  while (!text.includes(`line ${lines - 1}`)) {
    const piece = await body.next();
    notEqual(piece.done, true);
    text += String(piece.value);
    pieces += 1;
  }
  // Some come together where the machine stood still for some seconds.
  ok(pieces >= lines / 2, 'lines came together');
}
