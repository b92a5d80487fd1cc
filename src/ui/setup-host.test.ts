// Which hosts are ours, whoever owns a name.

import assert from 'node:assert/strict';
import { isOwnHost } from './setup-host.ts';

describe('host of the edge page', () => {
  const names = { nodeName: 'Node-1', listenHost: '0.0.0.0' };
  const rows: readonly (readonly [string | undefined, boolean])[] = [
    ['10.0.0.5', true],
    ['10.0.0.5:8080', true],
    ['[2001:db8::5]', true],
    ['[2001:db8::5]:8080', true],
    ['localhost:8080', true],
    ['LOCALHOST', true],
    ['node-1:80', true],
    ['rebind.evil.example', false],
    ['rebind.evil.example:80', false],
    ['localhost.evil.example', false],
    ['node-1.evil.example', false],
    ['10.0.0.5.evil.example', false],
    ['node-1.', false],
    ['node-2', false],
    ['[evil.example]', false],
    ['evil.example:[::1]', false],
    ['[::1].evil.example', false],
    ['10.0.0.5@evil.example', false],
    ['evil.example@10.0.0.5', false],
    [':80', false],
    ['', false],
    [undefined, false],
  ];
  for (const [host, own] of rows)
    it(`${own ? 'takes' : 'refuses'} ${host}`, () => assert.equal(isOwnHost(host, names), own));

  it('takes the name that the operator listens on, and no node name with a dot', () => {
    const dotted = { nodeName: 'node-1.example.com', listenHost: 'Edge.example.com' };
    assert.equal(isOwnHost('edge.example.com:8080', dotted), true);
    assert.equal(isOwnHost('node-1.example.com:8080', dotted), false);
  });

  it('takes nothing empty for a name where the node has none', () => {
    assert.equal(isOwnHost('', { nodeName: '', listenHost: '' }), false);
  });
});
