// What reaches the log, and what must not: secrets under every name and shape, and bytes that forge lines.

import assert from 'node:assert/strict';
import type { LogConfig } from '../config/config.ts';
import type { LogFields, Logger } from '../log.ts';
import { createLogger } from './logger.ts';
import { redactFields } from './redact.ts';

async function capture(config: LogConfig): Promise<{ readonly log: Logger; readonly lines: string[] }> {
  const lines: string[] = [];
  const log = await createLogger(config, { write: (line: string) => void lines.push(line) });
  return { log, lines };
}

const hidden = 'do-not-show-this';

const leaks: readonly (readonly [string, LogFields])[] = [
  ['a header', { headers: { Authorization: `Bearer ${hidden}` } }],
  ['a registry login', { headers: { 'X-Registry-Auth': hidden, 'x-registry-config': hidden } }],
  ['a signature and its key', { 'x-portaineragent-signature': hidden, 'X-PortainerAgent-PublicKey': hidden }],
  ['cookies', { headers: { cookie: hidden, 'set-cookie': [hidden] } }],
  ['flat headers', { rawHeaders: ['Host', 'x', 'X-PortainerAgent-Signature', hidden, 'cookie', hidden] }],
  ['a secret of the configuration', { config: { auth: { secret: hidden }, cluster_secret: hidden } }],
  ['an associated key', { association: { epoch: 1, key: { publicKeyHex: hidden } } }],
  ['an edge key', { edgeKey: hidden, EDGE_KEY: hidden }],
  ['passwords and tokens', { body: { password: hidden, identitytoken: hidden, JoinToken: hidden } }],
  ['a query', { url: `/build?remote=x&token=${hidden}&q=1` }],
  ['credentials of a URL', { reason: `clone https://user:${hidden}@example.org/repo failed` }],
  ['an error and its cause', { error: new Error('outer', { cause: new Error(`GET /x?secret=${hidden}`) }) }],
  ['a buffer', { chunk: Buffer.from(hidden) }],
  ['a deep object', { a: { b: { c: { secret: hidden, d: { e: { f: { g: hidden } } } } } } }],
];

describe('logger', () => {
  for (const [name, fields] of leaks) {
    it(`does not write what is secret in ${name}`, async () => {
      const { log, lines } = await capture({ level: 'DEBUG', mode: 'JSON' });
      log.info('event', fields);
      assert.equal(lines.length, 1);
      assert.doesNotMatch(lines.join(''), new RegExp(hidden));
      assert.doesNotMatch(lines.join(''), new RegExp(Buffer.from(hidden).toString('base64')));
    });
  }

  it('writes one JSON object a line, with level, time, module and the fields', async () => {
    const { log, lines } = await capture({ level: 'INFO', mode: 'JSON' });
    log
      .child('cluster')
      .warn('member is dead', { node: 'node3', error: new Error('x', { cause: new Error('y') }) });
    const line: unknown = JSON.parse(lines.join(''));
    assert.ok(typeof line === 'object' && line !== null && 'time' in line);
    assert.match(String(line.time), /^\d{4}-\d\d-\d\dT/);
    const { time: _time, ...rest } = line;
    assert.deepEqual(rest, {
      level: 'warn',
      module: 'cluster',
      node: 'node3',
      error: 'x <- y',
      msg: 'member is dead',
    });
  });

  it('writes nothing below its level', async () => {
    const { log, lines } = await capture({ level: 'WARN', mode: 'JSON' });
    log.debug('a');
    log.info('b');
    log.warn('c');
    log.error('d');
    assert.deepEqual(
      lines.map((line) => JSON.parse(line).msg),
      ['c', 'd'],
    );
  });

  for (const mode of ['JSON', 'NOCOLOR'] as const) {
    it(`keeps an event on one line without escape sequences in ${mode}`, async () => {
      const { log, lines } = await capture({ level: 'INFO', mode });
      log.info('refused\r\nlevel=error forged', {
        path: '/\u001b[2J\r\n{"forged":1}\u009b31m\u2028',
        '\nname': 'x',
      });
      assert.equal(lines.length, 1);
      const line = lines.join('').replace(/\n$/, '');
      // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are the subject
      assert.doesNotMatch(line, /[\u0000-\u001f\u007f-\u009f\u2028]/);
      assert.match(line, /forged/);
    });
  }

  it('colours only where it was asked to', async () => {
    const sequence = '\u001b[';
    const coloured = await capture({ level: 'INFO', mode: 'PRETTY' });
    coloured.log.info('event', { node: 'n1' });
    assert.ok(coloured.lines.join('').includes(sequence));
    const plain = await capture({ level: 'INFO', mode: 'NOCOLOR' });
    plain.log.info('event', { node: 'n1' });
    assert.ok(!plain.lines.join('').includes(sequence));
    assert.match(plain.lines.join(''), /INFO.*event.*n1/);
  });

  it('bounds what one line can hold', () => {
    const fields = redactFields({
      text: 'x'.repeat(100_000),
      list: Array.from({ length: 5_000 }, () => 'y'),
    });
    assert.ok(JSON.stringify(fields).length < 3_000);
  });

  it('survives a circle', () => {
    const circle: Record<string, unknown> = {};
    circle.self = circle;
    assert.match(JSON.stringify(redactFields({ circle })), /too deep/);
  });
});
