// Which manager a manager operation goes to, and when the next one is asked.

import assert from 'node:assert/strict';
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { memberOf } from '../../test/support/fake-peer.ts';
import type { ClusterView, Member } from '../cluster/cluster.ts';
import type { AgentError } from '../errors.ts';
import { managersOf } from './carry.ts';
import { createDispatch } from './dispatch.ts';
import type { ForwardOptions, Transport } from './proxy.ts';

const manager = (nodeName: string, leader = false): Member => memberOf({ nodeName, role: 'manager', leader });
const suspect = (member: Member): Member => ({ ...member, state: 'suspect' });
const viewOf = (self: Member, ...others: readonly Member[]): ClusterView => ({
  state: 'joined',
  self,
  members: [self, ...others],
  missing: [],
});
const worker = memberOf({ nodeName: 'self' }, true);

describe('managersOf', () => {
  const names = (view: ClusterView): string[] => managersOf(view).map(({ record }) => record.nodeName);

  it('prefers itself, then the leader, then the healthy ones, then those in doubt', () => {
    const others = [
      suspect(manager('d', true)),
      manager('c'),
      manager('b', true),
      memberOf({ nodeName: 'w' }),
    ];
    assert.deepEqual(names(viewOf(worker, ...others)), ['b', 'c', 'd']);
    const self = memberOf({ nodeName: 'self', role: 'manager' }, true);
    assert.deepEqual(names(viewOf(self, ...others)), ['self', 'b', 'c', 'd']);
  });
});

describe('a manager operation', () => {
  const managers = [manager('a', true), manager('b'), manager('c')];

  /** The places that were tried, of which those in `dead` did not answer, and the error that the client got. */
  const run = (
    method: string,
    { dead = [], headers = {}, view = viewOf(worker, ...managers) }: Partial<RunOptions>,
  ): { readonly tried: string[]; readonly error: AgentError['code'] | undefined } => {
    const tried: string[] = [];
    let code: AgentError['code'] | undefined;
    const place = (name: string): Transport => {
      const forward = (_request: unknown, _req: unknown, _res: unknown, options: ForwardOptions): void => {
        tried.push(name);
        if (dead.includes(name)) options.onUnreachable(new Error('refused'));
      };
      const unused = (): never => assert.fail('not for a manager operation');
      return { forward, splice: unused, fetch: unused, open: unused };
    };
    const dispatch = createDispatch({
      view: () => view,
      engine: place('engine'),
      peer: ({ record }) => place(record.nodeName),
      findOwner: () => assert.fail('no owner is looked for'),
      mergeList: () => assert.fail('no list is merged'),
      fail: (_exchange, error) => {
        code = error.code;
      },
      observe: () => undefined,
    });
    const req = new IncomingMessage(new Socket());
    req.headers = headers;
    const exchange = { kind: 'request', req, res: new ServerResponse(req) } as const;
    const request = { method, path: '/info', rawHeaders: [] };
    dispatch.run({ exchange, request, stream: 'short', answerHeaders: [] }, { kind: 'manager' });
    return { tried, error: code };
  };

  interface RunOptions {
    readonly dead: readonly string[];
    readonly headers: IncomingMessage['headers'];
    readonly view: ClusterView;
  }

  it('goes to one manager that answers', () => {
    assert.deepEqual(run('POST', {}), { tried: ['a'], error: undefined });
  });

  for (const method of ['GET', 'HEAD']) {
    it(`is tried at another manager when it is a ${method} without an answer`, () => {
      assert.deepEqual(run(method, { dead: ['a', 'b'] }), { tried: ['a', 'b', 'c'], error: undefined });
      const none = { tried: ['a', 'b', 'c'], error: 'member-unreachable' };
      assert.deepEqual(run(method, { dead: ['a', 'b', 'c'] }), none);
    });
  }

  it('leaves an own engine that is gone for another manager', () => {
    const self = memberOf({ nodeName: 'self', role: 'manager' }, true);
    const view = viewOf(self, ...managers);
    assert.deepEqual(run('GET', { view, dead: ['engine'] }), { tried: ['engine', 'a'], error: undefined });
  });

  const unrepeatable: readonly [string, IncomingMessage['headers']][] = [
    ['POST', {}],
    ['DELETE', {}],
    ['GET', { 'content-length': '2' }],
    ['GET', { 'transfer-encoding': 'chunked' }],
  ];
  for (const [method, headers] of unrepeatable) {
    it(`is not repeated when it is a ${method} with ${JSON.stringify(headers)}`, () => {
      assert.deepEqual(run(method, { headers, dead: ['a'] }), { tried: ['a'], error: 'member-unreachable' });
    });
  }

  it('says so when there is no manager, and runs here outside of a Swarm', () => {
    const others = [memberOf({ nodeName: 'other' })];
    assert.deepEqual(run('GET', { view: viewOf(worker, ...others) }), { tried: [], error: 'no-manager' });
    const plain = memberOf({ nodeName: 'self', role: undefined }, true);
    assert.deepEqual(run('GET', { view: viewOf(plain) }), { tried: ['engine'], error: undefined });
  });
});
