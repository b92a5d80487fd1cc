// Which sockets there are, as a table: names that cannot be trusted, names that are not one node's alone, and roles.

import { deepEqual, equal, ok } from 'node:assert/strict';
import { memberOf } from '../../test/support/fake-peer.ts';
import type { ClusterView, Member, MemberRecord } from '../cluster/cluster.ts';
import { maxNodeSockets, type PlanOptions, planSockets, type SocketsPlan } from './sockets-plan.ts';

const nodesDir = '/run/flotilla/nodes';

function viewOf(others: readonly Member[], self: Partial<MemberRecord> = {}): ClusterView {
  const me = memberOf({ nodeName: 'n1', ...self }, true);
  return { state: 'joined', self: me, members: [...others, me], missing: [] };
}

function plan(view: ClusterView, options: Partial<PlanOptions> = {}): SocketsPlan {
  return planSockets(view, { where: 'all', hasSecret: true, nodesDir, ...options });
}

function filesOf(others: readonly Member[], options: Partial<PlanOptions> = {}): readonly string[] {
  return plan(viewOf(others), options).nodes.map(({ file }) => file);
}

describe('plan of the Docker sockets', () => {
  it('has the cluster, this node, and every other live member', () => {
    const view = viewOf([
      memberOf({ nodeName: 'n2' }),
      { ...memberOf({ nodeName: 'n3' }), state: 'suspect' },
    ]);
    deepEqual(plan(view), {
      cluster: true,
      nodes: [
        { file: 'n1.sock', nodeName: 'n1', engineId: 'engine-n1' },
        { file: 'n2.sock', nodeName: 'n2', engineId: 'engine-n2' },
        { file: 'n3.sock', nodeName: 'n3', engineId: 'engine-n3' },
      ],
      without: [],
    });
  });

  it('has this node alone without a secret', () => {
    deepEqual(filesOf([memberOf({ nodeName: 'n2' })], { hasSecret: false }), ['n1.sock']);
  });

  it('is for managers only where that was asked for, and follows the role', () => {
    for (const [role, cluster] of [
      ['manager', true],
      ['worker', false],
      [undefined, false],
    ] as const) {
      const { cluster: has, nodes } = plan(viewOf([], { role }), { where: 'managers' });
      deepEqual([has, nodes.length], [cluster, cluster ? 1 : 0]);
    }
    deepEqual(plan(viewOf([]), { where: 'off' }), { cluster: false, nodes: [], without: [] });
  });

  for (const nodeName of [
    '../x',
    '..',
    '.hidden',
    '-rf',
    'a/b',
    'a b',
    'a\nb',
    'a\0b',
    'ä',
    '',
    'a:b',
    'a'.repeat(300),
  ]) {
    it(`uses the id of a node that calls itself ${JSON.stringify(nodeName.slice(0, 12))}`, () => {
      deepEqual(filesOf([memberOf({ nodeName, nodeId: 'k3h0fd1' })]), ['n1.sock', 'k3h0fd1.sock']);
    });
  }

  it('has no socket for a node whose id cannot be trusted either, and says so', () => {
    for (const nodeId of ['../../etc/passwd', '', '..', 'a\n', 'i'.repeat(300)]) {
      const { nodes, without } = plan(viewOf([memberOf({ nodeName: '../x', nodeId })]));
      deepEqual([nodes.length, without.map(({ nodeName }) => nodeName)], [1, ['../x']]);
    }
    const groups = 'ABCD:EFGH:IJKL:MNOP:QRST:UVWX:YZ23:4567:ABCD:EFGH:IJKL:MNOP';
    deepEqual(filesOf([memberOf({ nodeName: 'a/b', nodeId: groups })])[1], `${groups}.sock`);
  });

  it('gives a name that several have to none of them', () => {
    const twins = [memberOf({ nodeName: 'n1', nodeId: 'x', engineId: 'x' }), memberOf({ nodeName: 'n2' })];
    deepEqual(filesOf(twins), ['id-n1.sock', 'x.sock', 'n2.sock']);
    const same = { nodeName: 'twin', nodeId: 'same' };
    const { nodes, without } = plan(viewOf([memberOf(same), memberOf(same)]));
    deepEqual([nodes.length, without.length], [1, 2]);
  });

  it("does not let a node take another one's id for its name", () => {
    const taker = memberOf({ nodeName: 'id-n2', nodeId: 'taker' });
    const taken = memberOf({ nodeName: 'n/2', nodeId: 'id-n2' });
    deepEqual(filesOf([taker, taken]), ['n1.sock', 'taker.sock', 'id-n2.sock']);
    // Whose name and id are the same takes nobody else's.
    deepEqual(filesOf([memberOf({ nodeName: 'n2', nodeId: 'n2' })]), ['n1.sock', 'n2.sock']);
  });

  it('fits every path into what the kernel takes', () => {
    const room = 107 - `${nodesDir}/.sock`.length;
    const longest = 'n'.repeat(room);
    deepEqual(filesOf([memberOf({ nodeName: longest })])[1], `${longest}.sock`);
    deepEqual(filesOf([memberOf({ nodeName: `${longest}n`, nodeId: 'short' })])[1], 'short.sock');
  });

  it('has a bound, and keeps this node within it', () => {
    const others = Array.from({ length: maxNodeSockets + 5 }, (_, index) =>
      memberOf({ nodeName: `a${index}` }),
    );
    const { nodes, without } = plan(viewOf(others));
    equal(nodes.length, maxNodeSockets);
    ok(nodes.some(({ file }) => file === 'n1.sock'));
    equal(without.length, 6);
  });
});
