// Edge keys: the recorded ones, what is refused of them, and a thousand hostile texts.

import assert from 'node:assert/strict';
import { edgeVectors } from '../../test/support/edge-vectors.ts';
import { pick, type Random, seeded } from '../../test/support/random-json.ts';
import { AgentError } from '../errors.ts';
import { encodeEdgeKey, maxEdgeKeyChars, parseEdgeKey } from './edge-key.ts';

const sha256 = 'wY9EIpAyb48SmO6YbjtgvR++gVm2HhFLLUSSKXBsoV8=';
const md5 = 'a1:af:c9:49:5d:bd:1f:31:14:e8:06:ab:04:87:10:b9';

function encode(...fields: readonly string[]): string {
  return Buffer.from(fields.join('|')).toString('base64').replaceAll('=', '');
}

describe('E1 edge key', () => {
  for (const vector of edgeVectors.edgeKey.valid) {
    it(`reads a ${vector.name}`, () => {
      assert.deepEqual(parseEdgeKey(vector.encoded), {
        text: vector.encoded,
        portainerUrl: vector.portainerUrl,
        tunnelAddress: vector.tunnelServerAddr,
        fingerprint: vector.fingerprint,
        environmentId: vector.endpointId,
      });
    });
  }

  for (const { name, encoded } of edgeVectors.edgeKey.invalid) {
    it(`refuses one with ${name}`, () => {
      assert.throws(() => parseEdgeKey(encoded), { code: 'request-invalid' });
    });
  }

  it('reads padding, line breaks and a trailing slash, which people and servers add', () => {
    const encoded = Buffer.from(`https://p.example.com:9443/|t:8000|${md5}|12`).toString('base64');
    assert.ok(encoded.endsWith('='));
    const key = parseEdgeKey(` ${encoded.slice(0, 40)}\r\n${encoded.slice(40)}\n`);
    assert.equal(key.portainerUrl, 'https://p.example.com:9443');
    assert.equal(key.text, encoded);
  });

  it('keeps a path of the address, for a Portainer behind one', () => {
    assert.equal(
      parseEdgeKey(encode('https://p/portainer/', 't:1', md5, '1')).portainerUrl,
      'https://p/portainer',
    );
  });

  for (const tunnel of [
    't:8000',
    'http://t',
    'https://t.example.com',
    'ssh://t:2222',
    '[::1]:8000',
    '10.0.0.1:1',
  ]) {
    it(`takes the tunnel address ${tunnel}`, () => {
      assert.equal(parseEdgeKey(encode('https://p', tunnel, sha256, '1')).tunnelAddress, tunnel);
    });
  }

  const refused: readonly (readonly [string, readonly string[], RegExp])[] = [
    ['no fingerprint', ['https://p', 't:1', '', '1'], /fingerprint is neither/],
    ['a short MD5 fingerprint', ['https://p', 't:1', 'a1:af', '1'], /fingerprint is neither/],
    ['another scheme', ['ftp://p', 't:1', md5, '1'], /no http or https address: "ftp:\/\/p"/],
    ['a script as address', ['javascript:alert(1)', 't:1', md5, '1'], /no http or https address/],
    ['a password in the address', ['https://u:geheim@p', 't:1', md5, '1'], /more than scheme, host/],
    ['a query in the address', ['https://p/?a=b', 't:1', md5, '1'], /more than scheme, host/],
    ['another tunnel scheme', ['https://p', 'file://t/x', md5, '1'], /no host and port|scheme/],
    ['a tunnel path', ['https://p', 't:1/x', md5, '1'], /no host and port/],
    ['a tunnel user', ['https://p', 'ssh://u@t:1', md5, '1'], /no host and port/],
    ['no tunnel host', ['https://p', ':8000', md5, '1'], /no host and port/],
    ['an id below zero', ['https://p', 't:1', md5, '-1'], /environment id is no number/],
    ['an id that is too large', ['https://p', 't:1', md5, '99999999999'], /environment id is no number/],
    ['control characters', ['https://p', 't:1\r\nX: y', md5, '1'], /characters that no address has/],
  ];
  for (const [name, fields, message] of refused) {
    it(`refuses ${name}`, () => {
      assert.throws(() => parseEdgeKey(encode(...fields)), { code: 'request-invalid', message });
    });
  }

  it('refuses more than any key has, without decoding it', () => {
    assert.throws(() => parseEdgeKey('A'.repeat(maxEdgeKeyChars + 1)), /more than 4096 characters/);
  });

  it('writes a global key with the id that was found, which reads as the same Portainer', () => {
    const global = parseEdgeKey(encode('https://p', 't:1', sha256, '0'));
    assert.equal(encodeEdgeKey(global, 0), global.text);
    const found = parseEdgeKey(encodeEdgeKey(global, 42));
    assert.deepEqual({ ...found, text: '' }, { ...global, text: '', environmentId: 42 });
    assert.doesNotMatch(found.text, /=/);
  });

  it('answers 1,000 hostile texts with a key that can be used or one clear error without the text', () => {
    const random = seeded(5_001);
    let keys = 0;
    for (let at = 0; at < 1_000; at += 1) {
      const text = hostileKey(random);
      try {
        const key = parseEdgeKey(text);
        keys += 1;
        assert.doesNotThrow(
          () => new URL(`${key.portainerUrl}/api/endpoints/${key.environmentId}/edge/status`),
        );
        assert.match(`${key.portainerUrl}${key.tunnelAddress}${key.fingerprint}`, /^[\x21-\x7e]+$/);
        assert.ok(Number.isSafeInteger(key.environmentId) && key.environmentId >= 0);
      } catch (error) {
        assert.ok(error instanceof AgentError, `${text}: ${String(error)}`);
        assert.match(error.message, /^parse edge key: [\x20-\x7e…]{5,300}$/);
      }
    }
    // A fuzz that reaches only the first check would show little.
    assert.ok(keys > 50, `${keys} of them were keys`);
  });
});

const words = ['https://p', 'http://[::1]:9000', 't:8000', 'ssh://t', sha256, md5, '7', '0', '-1', '1e3', '', ' ',
  '\u0000', '../..', 'https://p\r\nHost: x', '<script>', '😀', '|', 'a'.repeat(300), 'http://a:99999', '%00']; // biome-ignore format: a list of words

/** A proper key, spoilt in a field, in its length, in its bytes or in its base64. */
function hostileKey(random: Random): string {
  const fields = ['https://p.example.com', 't.example.com:8000', sha256, '7'];
  if (random() < 0.6) fields[pick(random, 4)] = words[pick(random, words.length)] ?? '';
  if (random() < 0.1) fields.splice(pick(random, 4), 1);
  if (random() < 0.1) fields.push(words[pick(random, words.length)] ?? '');
  const bytes = Buffer.from(fields.join('|'));
  if (random() < 0.2) bytes[pick(random, bytes.length)] = pick(random, 256);
  let text = bytes.toString('base64');
  if (random() < 0.5) text = text.replaceAll('=', '');
  if (random() < 0.1) text = text.slice(0, pick(random, text.length));
  if (random() < 0.1) text = `${text}${words[pick(random, words.length)] ?? ''}`;
  return text;
}
