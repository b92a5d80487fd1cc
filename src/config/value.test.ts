// The syntax of each type of option, as agent-api.md section 1 lists it, the ugly cases included.

import assert from 'node:assert/strict';
import type { Variable, VariableType } from './env.ts';
import { acceptedBy, parseValue } from './value.ts';

const refused = undefined;

function variable(type: VariableType, more: Partial<Variable> = {}): Variable {
  return { name: 'X', flags: [], type, default: '', group: 'Agent', meaning: '', use: 'used', ...more };
}

const cases: readonly (readonly [VariableType, string, unknown, Partial<Variable>?])[] = [
  ['bool', '1', true],
  ['bool', 'T', true],
  ['bool', 'True', true],
  ['bool', 'F', false],
  ['bool', 'false', false],
  ['bool', 'yes', refused],
  ['bool', 'tRUE', refused],
  ['bool', ' true', refused],
  ['int', '9001', 9001],
  ['int', '-3', -3],
  ['int', '1e3', refused],
  ['int', '0x10', refused],
  ['int', '9007199254740993', refused],
  ['int', '65536', refused, { min: 0, max: 65_535 }],
  ['int', '-1', refused, { min: 0 }],
  ['duration', '500ms', 500],
  ['duration', '72h', 259_200_000],
  ['duration', '20h2s', 72_002_000],
  ['duration', '1.5s', 1_500],
  ['duration', '.5s', 500],
  ['duration', '100us', 0.1],
  ['duration', '100µs', 0.1],
  ['duration', '1000000ns', 1],
  ['duration', '0', 0],
  ['duration', '-5s', -5_000],
  ['duration', '-5s', refused, { min: 0 }],
  ['duration', '5', refused],
  ['duration', '5 s', refused],
  ['duration', '5d', refused],
  ['duration', 's', refused],
  ['duration', '1.2.3s', refused],
  ['duration', '', refused],
  ['duration', '99999h', 2_147_483_647],
  ['mode', '0660', 0o660],
  ['mode', '600', 0o600],
  ['mode', '4660', refused],
  ['mode', '0888', refused],
  ['mode', '66', refused],
  ['mode', '0x660', refused],
  ['group', 'docker', 'docker'],
  ['group', '999', 999],
  ['group', '4294967295', refused],
  ['group', '', ''],
  ['group', '-1', refused],
  ['group', 'a:b', refused],
  ['group', 'a\nb', refused],
  ['ip', '0.0.0.0', '0.0.0.0'],
  ['ip', 'fd00::1', 'fd00::1'],
  ['ip', 'FD00:0::0001', 'fd00::1'],
  ['ip', '2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
  ['ip', 'localhost', refused],
  ['ip', '10.0.0.256', refused],
  ['ip', '[::1]', refused],
  ['ip', 'fe80::1%eth0', refused],
  ['ip', '', '', {}],
  ['ip', '', refused, { default: '0.0.0.0' }],
  ['int list', '1:2:3', [1, 2, 3]],
  ['int list', '', []],
  ['int list', '1::3', refused],
  ['int list', '1:x', refused],
  ['path', '/data', '/data'],
  ['path', '/a\0b', refused],
  ['host', 'tasks.agent', { host: 'tasks.agent', port: undefined }],
  ['host', 'tasks.my_agent', { host: 'tasks.my_agent', port: undefined }],
  ['host', 'tasks.agent:7946', { host: 'tasks.agent', port: 7946 }],
  ['host', '10.0.0.1:7946', { host: '10.0.0.1', port: 7946 }],
  ['host', '::1', { host: '::1', port: undefined }],
  ['host', '[fd00::1]', { host: 'fd00::1', port: undefined }],
  ['host', '[fd00::1]:7946', { host: 'fd00::1', port: 7946 }],
  ['host', 'agent:', refused],
  ['host', 'agent:0', refused],
  ['host', 'agent:65536', refused],
  ['host', '[10.0.0.1]:1', refused],
  ['host', '10.0.0.300', refused],
  ['host', 'a..b', refused],
  ['host', 'a b', refused],
  ['host', 'http://agent', refused],
  ['host', ':7946', refused],
  ['origin', 'https://hub.example.com/', 'https://hub.example.com'],
  ['origin', 'http://127.0.0.1:5000', 'http://127.0.0.1:5000'],
  ['origin', 'hub.example.com', refused],
  ['origin', 'ftp://hub.example.com', refused],
  ['origin', 'https://hub.example.com/v2', refused],
  ['origin', 'https://me:pw@hub.example.com', refused],
  ['origin', '', refused],
  ['seeds', '', []],
  [
    'seeds',
    'a, b:1',
    [
      { host: 'a', port: undefined },
      { host: 'b', port: 1 },
    ],
  ],
  ['seeds', 'a,,b', refused],
  ['seeds', Array.from({ length: 257 }, (_, index) => `h${index}`).join(','), refused],
  ['listen', '127.0.0.1:9003', { host: '127.0.0.1', port: 9003 }],
  ['listen', '[::1]:9003', { host: '::1', port: 9003 }],
  ['listen', 'off', 'off'],
  ['listen', ':9003', refused],
  ['listen', '9003', refused],
  ['version', '2.23.0', '2.23.0'],
  ['version', '2.19.0', '2.19.0'],
  ['version', '3.0.0', '3.0.0'],
  ['version', '2.18.9', refused],
  ['version', '2.23', refused],
  ['version', '1.99.99', refused],
  ['enum', 'INFO', 'INFO', { choices: ['INFO'] }],
  ['enum', 'info', refused, { choices: ['INFO'] }],
];

describe('option values', () => {
  for (const [type, text, expected, more] of cases) {
    const shown = text.length > 40 ? `${text.slice(0, 40)}…` : text;
    const outcome = expected === undefined ? 'refuses' : 'accepts';
    it(`${outcome} ${JSON.stringify(shown)} as ${type}${more === undefined ? '' : ` ${JSON.stringify(more)}`}`, () => {
      assert.deepEqual(parseValue(type, text, variable(type, more)), expected);
    });
  }

  it('says what would be accepted, with the range', () => {
    assert.equal(acceptedBy(variable('int', { min: 0, max: 65_535 })), 'an integer from 0 to 65535');
    assert.match(acceptedBy(variable('duration', { min: 10 })), /20h2s, at least 10ms$/);
    assert.equal(acceptedBy(variable('enum', { choices: ['A', 'B'] })), 'one of A, B');
  });
});
