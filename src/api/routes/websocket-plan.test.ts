// Which console requests are let through, and what the engine is sent for them.

import assert from 'node:assert/strict';
import { engineRefusal, engineRequest, isConsoleUpgrade, planConsole } from './websocket-plan.ts';

const handshake = { upgrade: 'websocket', key: 'dGhlIHNhbXBsZSBub25jZQ==', version: '13' };
const id = 'a'.repeat(64);

describe('console plan', () => {
  it('opens an exec or an attach by its id, whatever else the query says', () => {
    for (const kind of ['exec', 'attach'] as const) {
      const query = `?endpointId=1&id=${id}&nodeName=x&token=y`;
      assert.deepEqual(planConsole(`/websocket/${kind}`, query, handshake), {
        kind: 'open',
        console: { kind, id },
      });
    }
    assert.equal(planConsole('/websocket/exec', '?id=0aF', handshake).kind, 'open');
  });

  for (const [query, message] of [
    ['', 'Invalid query parameter: id'],
    ['?id=', 'Invalid query parameter: id'],
    ['?ID=ab', 'Invalid query parameter: id'],
    ['?id=abg', 'Invalid query parameter: id (must be hexadecimal identifier)'],
    ['?id=ab%2fstart', 'Invalid query parameter: id (must be hexadecimal identifier)'],
    ['?id=ab%0a', 'Invalid query parameter: id (must be hexadecimal identifier)'],
    ['?id=ab&id=../x', undefined],
    [`?id=${id}a`, 'Invalid query parameter: id (must be hexadecimal identifier)'],
  ] as const) {
    it(`A-31 answers ${JSON.stringify(query.slice(0, 20))} with ${message ?? 'the first id'}`, () => {
      const plan = planConsole('/websocket/exec', query, handshake);
      if (message === undefined) {
        assert.deepEqual(plan, { kind: 'open', console: { kind: 'exec', id: 'ab' } });
        return;
      }
      assert.ok(plan.kind === 'refused');
      assert.equal(plan.answer.status, 400);
      assert.equal(JSON.parse(plan.answer.body.toString()).message, message);
    });
  }

  for (const wrong of [
    { upgrade: 'tcp' },
    { upgrade: undefined },
    { version: '8' },
    { version: undefined },
    { key: 'c2hvcnQ=' },
    { key: undefined },
  ]) {
    it(`refuses a handshake with ${JSON.stringify(wrong)}`, () => {
      const plan = planConsole('/websocket/exec', '?id=ab', { ...handshake, ...wrong });
      assert.ok(plan.kind === 'refused');
      assert.equal(plan.answer.status, 400);
      assert.ok(plan.answer.headers.join().includes('Sec-Websocket-Version,13'));
    });
  }

  it('knows which requests leave the parser', () => {
    for (const path of [
      '/websocket/exec?id=ab',
      '/websocket/attach',
      '/v2/websocket/exec?id=ab',
      '/v1/websocket/attach?id=ab',
      '/v1.41/v2/websocket/exec',
      '/v1.45/websocket/exec',
    ]) {
      assert.ok(isConsoleUpgrade('GET', path, 'WebSocket'), path);
      assert.ok(!isConsoleUpgrade('POST', path, 'websocket'), path);
      assert.ok(!isConsoleUpgrade('GET', path, 'tcp'), path);
      assert.ok(!isConsoleUpgrade('GET', path, undefined), path);
    }
    for (const path of ['/version', '/websocket', '/websocket/execs', '/x/websocket/exec', '/exec/ab/start'])
      assert.ok(!isConsoleUpgrade('GET', path, 'websocket'), path);
  });

  it('asks the engine as the agent that is replaced does', () => {
    const exec = engineRequest({ kind: 'exec', id: 'ab' });
    assert.deepEqual(
      [exec.method, exec.path, exec.body?.toString()],
      ['POST', '/exec/ab/start', '{"Tty":true,"Detach":false}\n'],
    );
    const attach = engineRequest({ kind: 'attach', id: 'ab' });
    assert.equal(attach.path, '/containers/ab/attach?stdin=1&stdout=1&stderr=1&stream=1');
    for (const { rawHeaders } of [exec, attach]) assert.ok(rawHeaders.join().includes('Upgrade,tcp'));
  });

  it('passes on the engine’s words, with or without the marks of a chunked body', () => {
    const body = '{"message":"No such exec instance: ab"}\n';
    for (const sent of [body, `28\r\n${body}\r\n0\r\n\r\n`]) {
      const { status, body: said } = engineRefusal(404, Buffer.from(sent));
      assert.equal(status, 404);
      assert.equal(JSON.parse(said.toString()).message, 'No such exec instance: ab');
    }
    const attach = engineRefusal(404, Buffer.from('No such container: ab\r\n'));
    assert.equal(JSON.parse(attach.body.toString()).message, 'No such container: ab');
    const nothing = engineRefusal(200, Buffer.alloc(0));
    assert.equal(nothing.status, 502);
    assert.equal(JSON.parse(nothing.body.toString()).message, 'The engine opened no console');
    const long = engineRefusal(500, Buffer.alloc(60_000, 'x'));
    assert.equal(JSON.parse(long.body.toString()).message.length, 1_000);
  });
});
