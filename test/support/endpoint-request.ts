// One request on the cluster socket, with the real endpoint and its routing in front of transports that only say what they
// were given: where it goes, by route, target, label, version, and who is there.

import assert from 'node:assert/strict';
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { ClusterView, Member, MissingMember } from '../../src/cluster/cluster.ts';
import type { Handler } from '../../src/proxy/endpoint/call.ts';
import { createCommonHeaders } from '../../src/proxy/endpoint/common-headers.ts';
import { createEndpoint, type EndpointNeeds } from '../../src/proxy/endpoint/endpoint.ts';
import { createRouted } from '../../src/proxy/endpoint/routed.ts';
import type { Found } from '../../src/proxy/owner/rank.ts';
import type { ForwardOptions, ProxyRequest, Transport } from '../../src/proxy/proxy.ts';
import { eventually } from './eventually.ts';
import { memberOf } from './fake-peer.ts';

const self = memberOf({ nodeName: 'a', role: 'worker' }, true);
export const manager: Member = memberOf({ nodeName: 'm', role: 'manager', leader: true });
export const other: Member = memberOf({ nodeName: 'b', role: 'worker', apiVersion: '1.40' });
export const viewOf = (members: readonly Member[], missing: readonly MissingMember[] = []): ClusterView => ({
  state: 'joined',
  self,
  members: [self, ...members],
  missing,
});
export const three: ClusterView = viewOf([manager, other]);
export const id: string = 'c'.repeat(64);

export interface Asked {
  readonly method?: string;
  readonly url: string;
  readonly headers?: IncomingMessage['headers'];
  readonly body?: string;
  readonly view?: ClusterView;
  readonly found?: Found;
  /** What is found once the member that was asked has declined; without it no member declines. */
  readonly foundAgain?: Found;
  /** Gets where the request was observed to go. */
  readonly observed?: string[];
  readonly membersObey?: boolean;
  readonly mayGrow?: boolean;
  readonly strict?: boolean;
}

/** The place that a request went to with its path, or the answer of ours. */
export async function run(asked: Asked): Promise<string> {
  const {
    method = 'GET',
    url,
    headers = {},
    body = '',
    view = three,
    membersObey = true,
    mayGrow = true,
    strict = false,
  } = asked;
  let went: string | undefined;
  let declined = false;
  const place = (name: string): Transport => {
    const carry = (
      request: ProxyRequest,
      { body: sent, answerHeaders = [], decline }: Partial<ForwardOptions>,
    ): void => {
      if (decline !== undefined && asked.foundAgain !== undefined) {
        declined = true;
        setImmediate(decline.onDeclined);
        return;
      }
      const said = answerHeaders.includes('*;reason=joining') ? ', joining' : '';
      went = `${name} ${request.path}${sent === undefined ? '' : ` ${sent}`}${said}`;
    };
    const unused = (): never => assert.fail('nothing is fetched here');
    return {
      forward: (request, _req, _res, options) => carry(request, options),
      splice: (request, _client, _head, options) => carry(request, options),
      fetch: unused,
      open: unused,
    };
  };
  const merged =
    (name: string): Handler =>
    () =>
      Promise.resolve({ status: 200, headers: [], body: `merged ${name}` });
  const names = ['containers', 'images', 'volumes', 'networks', 'df', 'info', 'version', 'ping'] as const;
  const prunes = ['containers', 'images', 'volumes', 'networks', 'build'] as const;
  const req = new IncomingMessage(new Socket());
  Object.assign(req, { method, url, headers });
  if (body !== '') req.headers['content-length'] = String(body.length);
  req.push(body);
  req.push(null);
  const res = new ServerResponse(req);
  const needs: EndpointNeeds = {
    view: () => view,
    engine: place('here'),
    peer: ({ record }) => place(record.nodeName),
    fail: (_exchange, error) => {
      went = `failed ${error.code}`;
    },
    observe: (_exchange, where) => void asked.observed?.push(where),
    headers: createCommonHeaders({ facts: () => ({ engineVersion: '20.10', osType: 'linux' }) }),
    merges: Object.fromEntries(names.map((name) => [name, merged(name)])) as EndpointNeeds['merges'],
    prune: Object.fromEntries(
      prunes.map((name) => [name, merged(`prune ${name}`)]),
    ) as EndpointNeeds['prune'],
    events: () => {
      went = 'merged events';
      return Promise.resolve();
    },
    routed: createRouted({
      lookup: {
        find: () =>
          Promise.resolve(
            (declined ? asked.foundAgain : asked.found) ?? { kind: 'none', asked: 3, unasked: [] },
          ),
        forget: () => undefined,
        remember: () => undefined,
      },
      inspectNetwork: () => Promise.resolve({ status: 200, headers: [], body: 'merged network' }),
      holderOfImages: () => Promise.resolve({ kind: 'route', member: other }),
      createNamesake: (_call, member, _body, nodes) =>
        Promise.resolve({
          status: 201,
          headers: [],
          body: `on ${member.record.nodeName}, as on ${nodes.join()}`,
        }),
      now: () => 0,
    }),
  };
  const mark = url.indexOf('?');
  const [whole, query] = mark === -1 ? [url, ''] : [url.slice(0, mark), url.slice(mark)];
  const version = /^\/(v\d\.\d+)\//.exec(whole)?.[1];
  const path = version === undefined ? whole : whole.slice(version.length + 1);
  let ended = '';
  res.end = ((chunk?: unknown) => {
    ended = String(chunk ?? '');
    went ??= `${res.statusCode} ${ended.trim()}`;
    return res;
  }) as typeof res.end;
  createEndpoint(needs, { membersObey, mayGrow: () => mayGrow }).serve({
    exchange: { kind: 'request', req, res },
    target: { path, rawPath: path, query, version },
    strict,
  });
  return eventually(() => {
    assert.ok(went !== undefined, 'the request went nowhere');
    return went;
  });
}

/** As an engine answers to an inspect. */
export const nowhere: Found = {
  kind: 'none',
  asked: 3,
  unasked: [],
  answer: { status: 404, rawHeaders: [], body: Buffer.from('said') },
};

export function foundOn(member: Member, by: 'id' | 'name' | 'prefix' | 'node', more: object = {}): Found {
  const holder = { member, id, name: 'web' };
  const inspect = { status: 200, rawHeaders: [], body: Buffer.from('{}') };
  return {
    kind: 'found',
    ...holder,
    by,
    inspect,
    holders: [holder],
    conflict: false,
    asked: 3,
    unasked: [],
    ...more,
  };
}
