// `flotilla nodes` as text: columns that line up, marks for this node, for what is missing and for what does not answer.

import assert from 'node:assert/strict';
import { flotilla, withControlSocket } from '../../test/support/run-cli.ts';
import type { ListedNode, NodesReport } from '../api/nodes.ts';
import { agoText, nodesText, selectNodes } from './nodes.ts';

const node: ListedNode = {
  name: 'node-1',
  id: 'id1',
  self: true,
  role: 'manager',
  leader: true,
  state: 'alive',
  address: '10.0.0.1',
  engineVersion: '20.10.24',
  apiVersion: '1.41',
  minApiVersion: '1.12',
  agentVersion: '0.1.0',
  rttMs: null,
  lastSeenMs: 100_000,
  fault: null,
};

const report: NodesReport = {
  cluster: 'joined',
  atMs: 100_000,
  nodes: [
    node,
    { ...node, name: 'a-longer-name', id: 'id2', self: false, leader: false, role: 'worker', rttMs: 0.74 },
    { ...node, name: 'node-3', self: false, leader: false, state: 'missing', lastSeenMs: 40_000 },
    { ...node, name: 'node-4', self: false, leader: false, rttMs: null, lastSeenMs: null, fault: 'timeout' },
    {
      ...node,
      name: 'node-5',
      self: false,
      leader: false,
      state: 'no-agent',
      apiVersion: null,
      agentVersion: null,
      lastSeenMs: null,
    },
  ],
};

describe('flotilla nodes', () => {
  it('lines up its columns as docker node ls does', () => {
    assert.equal(
      nodesText(report),
      `NAME            STATE      ROLE      ENGINE     API         AGENT   RTT      LAST SEEN
node-1 *        alive      leader    20.10.24   1.12-1.41   0.1.0   -        now
a-longer-name   alive      worker    20.10.24   1.12-1.41   0.1.0   0.7 ms   now
node-3          missing    manager   20.10.24   1.12-1.41   0.1.0   -        60 seconds ago
node-4          alive      manager   20.10.24   1.12-1.41   0.1.0   -        no answer now
node-5          no-agent   manager   20.10.24   -           -       -        never
why: flotilla doctor
`,
    );
    const alone: NodesReport = { ...report, nodes: [node] };
    assert.doesNotMatch(nodesText(alone), /doctor/);
    assert.match(nodesText({ ...alone, cluster: 'joining' }), /joining: no other agent/);
  });

  it('says how long ago, as the docker CLI rounds', () => {
    assert.deepEqual([-5, 400, 61_000, 7_140_000, 90_000_000, 400_000_000].map(agoText), [
      'now',
      'now',
      '61 seconds ago',
      '119 minutes ago',
      '25 hours ago',
      '4 days ago',
    ]);
  });

  it('shows the nodes that were named, by name or id, and refuses a name that nobody has', () => {
    assert.deepEqual(
      selectNodes(report, ['id2', 'node-3']).nodes.map(({ name }) => name),
      ['a-longer-name', 'node-3'],
    );
    assert.throws(() => selectNodes(report, ['node-3', 'nodex']), /no such node: nodex/);
  });

  it('prints names or JSON when asked, and what to do when no agent is there', async () => {
    await withControlSocket({ 'GET /nodes': [200, report] }, async (path) => {
      const env = { FLOTILLA_CONTROL_SOCKET: path };
      const [names, json, wrong] = await Promise.all([
        flotilla(['nodes', '--quiet', 'node-1', 'node-3'], env),
        flotilla(['nodes', '--json'], env),
        flotilla(['nodes', 'nodex'], env),
      ]);
      assert.deepEqual(names, { code: 0, out: 'node-1\nnode-3\n', err: '' });
      assert.deepEqual(JSON.parse(json.out), report);
      assert.deepEqual([wrong.code, wrong.out], [1, '']);
    });
    const { code, err } = await flotilla(['nodes', '--control-socket', '/nowhere/control.sock']);
    assert.equal(code, 1);
    assert.match(err, /no agent answers on \/nowhere\/control\.sock\n.*flotilla doctor/);
  });
});
