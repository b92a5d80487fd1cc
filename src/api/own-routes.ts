// The agent's own routes, served by koa: on the compat listener after its gate, and on the peer listener for other
// agents. A request whose target is another member is relayed there whole, by http-proxy-3.

import type { IncomingMessage, ServerResponse } from 'node:http';
import Koa from 'koa';
import type { ClusterView, Member } from '../cluster/cluster.ts';
import { AgentError, reasonOf } from '../errors.ts';
import { answer, type Exchange } from '../exchange.ts';
import type { Logger } from '../log.ts';
import { portainerHeaders } from '../wire.ts';
import type { FoundRoute } from './compat.ts';
import { errorAnswer } from './error-response.ts';
import { createRelay, type RelayNeeds, type RelayOptions } from './own-relay.ts';
import type { OwnRouter } from './own-route.ts';
import type { ServeBrowse } from './routes/browse.ts';
import { readBrowseRequest } from './routes/browse-plan.ts';
import { type DockerHub, serveDockerHub } from './routes/dockerhub.ts';
import type { Consoles } from './routes/websocket.ts';
import type { Target } from './target.ts';

export interface OwnRoutesNeeds extends RelayNeeds {
  readonly view: () => ClusterView;
  readonly hostInfo: () => Promise<unknown>;
  readonly consoles: Pick<Consoles, 'serve' | 'serveHere'>;
  readonly dockerHub: DockerHub;
  readonly browse: ServeBrowse;
  readonly log: Logger;
}

export interface OwnRoutesOptions extends RelayOptions {
  readonly clustered: () => boolean;
}

export interface OwnRoutes {
  /** For the compat listener: here, or on the member that the target header names. */
  serve(exchange: Exchange, route: FoundRoute, target: Target): void;
  /** For the peer listener: always here. */
  serveHere(exchange: Exchange, route: string): void;
}

/** On the peer listener a route comes without its target. */
const consolePrefix = '/websocket/';

function queryOf({ req: { url = '' } }: Exchange): string {
  const mark = url.indexOf('?');
  return mark === -1 ? '' : url.slice(mark);
}

type Handler = (context: Koa.Context) => Promise<void> | void;

export function createOwnRoutes(needs: OwnRoutesNeeds, options: OwnRoutesOptions): OwnRoutes {
  const handlers = createHandlers(needs, options);
  const app = createApp(handlers, needs);
  const relay = createRelay(needs, options);

  const serveHere = (exchange: Exchange, route: string, headers: readonly string[]): void => {
    if (exchange.kind === 'upgrade' || !(handlers.has(route) || isBrowse(route))) {
      const answered = errorAnswer(501, 'This agent does not serve this route yet');
      answer(exchange, { ...answered, headers: [...headers, ...answered.headers] });
      return;
    }
    for (let i = 0; i + 1 < headers.length; i += 2)
      exchange.res.setHeader(headers[i] ?? '', headers[i + 1] ?? '');
    app(exchange.req, exchange.res, route);
  };

  return {
    serveHere(exchange, route): void {
      const [, path = ''] = route.split(' ');
      if (path.startsWith(consolePrefix))
        needs.consoles.serveHere(exchange, { path, query: queryOf(exchange) });
      else serveHere(exchange, route, []);
    },
    serve(exchange, found, target): void {
      if (found.router === 'websocket') {
        needs.consoles.serve(exchange, { path: found.path, query: target.query });
        return;
      }
      const isElsewhere = elsewhere.includes(found.router);
      const member = isElsewhere ? targetOf(exchange, needs.view(), options) : needs.view().self;
      if (member === undefined)
        needs.fail(exchange, new AgentError('member-unknown', 'find the targeted agent'));
      else if (member.self || exchange.kind === 'upgrade')
        serveHere(exchange, found.route, options.answerHeaders);
      else relay(exchange, member, `${relayedPath(found)}${target.query}`);
    },
  };
}

/** Those that the target header sends to another member. */
const elsewhere: readonly OwnRouter[] = ['host', 'browse', 'browse-v1'];

function isBrowse(route: string): boolean {
  return readBrowseRequest(route, '') !== undefined;
}

/** Encoded again, and with the version that tells v1 from v2 there (agent-api.md Q7). */
function relayedPath({ router, path }: FoundRoute): string {
  const encoded = path.split('/').map(encodeURIComponent).join('/');
  return router === 'browse-v1' ? `/v1${encoded}` : encoded;
}

function createHandlers(needs: OwnRoutesNeeds, options: OwnRoutesOptions): ReadonlyMap<string, Handler> {
  return new Map<string, Handler>([
    [
      'GET /ping',
      (context) => {
        context.status = 204;
      },
    ],
    [
      'GET /agents',
      (context) => {
        if (options.clustered()) return sendJson(context, 200, needs.view().members.map(toAgent));
        const { status, body } = errorAnswer(
          503,
          'Agent management is not available when running the agent on a standalone engine',
          'Agent management is disabled',
        );
        context.status = status;
        // Not `context.type`, which adds a charset: the server reads the message only behind this exact type.
        context.set('Content-Type', 'application/json');
        context.body = body;
      },
    ],
    ['POST /dockerhub', (context) => serveDockerHub(needs.dockerHub, context)],
    ['GET /host/info', async (context) => sendJson(context, 200, await needs.hostInfo())],
  ]);
}

/** The member object of agent-api.md 7; alive and suspect members, self included. */
function toAgent({ record }: Member): unknown {
  return {
    IPAddress: record.address,
    Port: String(record.apiPort),
    NodeName: record.nodeName,
    NodeRole: record.role ?? 'manager',
    EdgeKeySet: record.edgeKeySet,
  };
}

function sendJson(context: Koa.Context, status: number, value: unknown): void {
  context.status = status;
  context.set('Content-Type', 'application/json');
  context.body = JSON.stringify(value);
}

function createApp(
  handlers: ReadonlyMap<string, Handler>,
  { browse: serveBrowse, log }: Pick<OwnRoutesNeeds, 'browse' | 'log'>,
): (req: IncomingMessage, res: ServerResponse, route: string) => void {
  const app = new Koa();
  // Failures are answered and logged below; what is left are clients that went, which koa would print to stderr.
  app.silent = true;
  // Which route it is was decided at the gate; koa must not look at the path a second time.
  const routes = new WeakMap<IncomingMessage, string>();
  app.use(async (context) => {
    const route = routes.get(context.req) ?? '';
    const browse = readBrowseRequest(route, context.req.url ?? '');
    try {
      if (browse === undefined) await handlers.get(route)?.(context);
      else await serveBrowse(context, browse);
    } catch (error) {
      log.warn('own route failed', { route, error: reasonOf(error) });
      const { status, body } = errorAnswer(500, failureOf(route));
      context.status = status;
      context.set('Content-Type', 'application/json');
      context.body = body;
    }
  });
  const callback = app.callback();
  return (req, res, route) => {
    routes.set(req, route);
    void callback(req, res);
  };
}

function failureOf(route: string): string {
  return route === 'GET /host/info' ? 'Unable to retrieve host information' : 'Unable to serve this request';
}

/** Empty and own name mean here; a lone agent ignores the header (agent-api.md 8.1). */
function targetOf(exchange: Exchange, view: ClusterView, options: OwnRoutesOptions): Member | undefined {
  const name = exchange.req.headers[portainerHeaders.target] ?? '';
  if (!options.clustered() || name === '' || name === view.self.record.nodeName) return view.self;
  return view.members.find(({ record }) => record.nodeName === name);
}
