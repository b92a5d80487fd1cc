// The routes of the page: the form, what a key says, and its association. Two steps and no script, so that a key is seen
// before it is saved, whatever the browser. `POST /init` keeps the original's contract for scripts.

import type Koa from 'koa';
import type { EdgeKey, EdgeKeys } from '../edge/edge.ts';
import { AgentError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Attempts } from './attempts.ts';
import { type FormFault, isForeign, readForm } from './setup-form.ts';
import { isOwnHost } from './setup-host.ts';
import {
  contentSecurityPolicy,
  donePage,
  formPage,
  misdirectedPage,
  reviewPage,
  stoppedPage,
} from './setup-page.ts';

export interface SetupRoutesNeeds {
  readonly keys: EdgeKeys;
  readonly parseKey: (text: string) => EdgeKey;
  readonly nodeName: () => string;
  readonly attempts: Attempts;
  readonly log: Logger;
}

export interface SetupRoutesOptions {
  readonly closesAtMs: number;
  /** What the page listens on, as configured. */
  readonly listenHost: string;
}

/** What the original says, word for word. */
const plainDone = 'Agent setup OK. You can close this page.';
const plainMissing = 'Missing key parameter';
const plainMisdirected = 'Open this page by IP address, or set EDGE_SERVER_HOST to its name.';

export function createSetupRoutes(needs: SetupRoutesNeeds, options: SetupRoutesOptions): Koa.Middleware {
  return async (context) => {
    setHeaders(context);
    if (!isOwnHost(context.headers.host, { nodeName: needs.nodeName(), listenHost: options.listenHost })) {
      // Says nothing of this node: the page of another site may be reading it.
      if (wantsHtml(context)) html(context, 421, misdirectedPage());
      else text(context, 421, plainMisdirected);
      return;
    }
    if (context.method !== 'POST') {
      showForm(context, needs, options);
      return;
    }
    // A page of another site that the person has open must not set a key of its own.
    if (isForeign(context.headers)) {
      fail(context, needs, options, 403, { message: 'This request came from another site.' });
      return;
    }
    const retryAfterMs = needs.attempts.take(context.req.socket.remoteAddress ?? '');
    if (retryAfterMs !== undefined) {
      const seconds = Math.ceil(retryAfterMs / 1_000);
      context.set('Retry-After', String(seconds));
      fail(context, needs, options, 429, { message: `Too many attempts. Try again in ${seconds} seconds.` });
      return;
    }
    if (context.path === '/check') await review(context, needs, options);
    else if (context.path === '/init') await associate(context, needs, options);
    else fail(context, needs, options, 404, { message: 'There is no such page.' });
  };
}

function setHeaders(context: Koa.Context): void {
  context.set({
    'Content-Security-Policy': contentSecurityPolicy,
    'Cache-Control': 'no-store',
    // `no-referrer` would take the origin from our own form, too.
    'Referrer-Policy': 'same-origin',
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
    'Cross-Origin-Resource-Policy': 'same-origin',
  });
}

function showForm(context: Koa.Context, needs: SetupRoutesNeeds, options: SetupRoutesOptions): void {
  const key = needs.keys.current();
  if (key !== undefined) html(context, 200, stoppedPage({ nodeName: needs.nodeName() }));
  else html(context, 200, formPage({ ...pageOf(needs, options), given: '', fault: undefined }));
}

async function review(
  context: Koa.Context,
  needs: SetupRoutesNeeds,
  options: SetupRoutesOptions,
): Promise<void> {
  const given = await readKey(context, needs, options);
  if (given === undefined) return;
  const key = parse(context, needs, options, given);
  if (key !== undefined) html(context, 200, reviewPage({ ...pageOf(needs, options), key }));
}

async function associate(
  context: Koa.Context,
  needs: SetupRoutesNeeds,
  options: SetupRoutesOptions,
): Promise<void> {
  const given = await readKey(context, needs, options);
  if (given === undefined || parse(context, needs, options, given) === undefined) return;
  try {
    const key = await needs.keys.associate(given, 'page');
    if (wantsHtml(context)) html(context, 200, donePage({ ...pageOf(needs, options), key }));
    else text(context, 200, plainDone);
  } catch (error) {
    const isOther = error instanceof AgentError && error.code === 'limit-exceeded';
    // Paths and causes are for the log; who sees this page may be anybody.
    const message = isOther
      ? 'This agent has been associated with another key meanwhile.'
      : 'The key could not be saved. Nothing has changed; the log of the agent says why.';
    needs.log.error('edge key not associated', {
      reason: error instanceof Error ? error.message : 'unknown',
    });
    fail(context, needs, options, isOther ? 409 : 500, { message, given });
  }
}

/** Undefined: answered already. */
async function readKey(
  context: Koa.Context,
  needs: SetupRoutesNeeds,
  options: SetupRoutesOptions,
): Promise<string | undefined> {
  const form = await readForm(context.req);
  if (form === undefined) {
    fail(context, needs, options, wantsHtml(context) ? 400 : 500, { message: 'The form could not be read.' });
    return undefined;
  }
  const key = (form.get('key') ?? new URLSearchParams(context.querystring).get('key') ?? '').trim();
  if (key !== '') return key;
  fail(context, needs, options, 400, {
    message: 'Paste the key first: the field is empty.',
    plain: plainMissing,
  });
  return undefined;
}

/** Undefined: answered already. */
function parse(
  context: Koa.Context,
  needs: SetupRoutesNeeds,
  options: SetupRoutesOptions,
  given: string,
): EdgeKey | undefined {
  try {
    return needs.parseKey(given);
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace('parse edge key: ', '') : 'unknown';
    const fault = { message: `This is not a usable Edge key: ${reason}.`, given, plain: reason };
    fail(context, needs, options, wantsHtml(context) ? 400 : 500, fault);
    return undefined;
  }
}

function fail(
  context: Koa.Context,
  needs: SetupRoutesNeeds,
  options: SetupRoutesOptions,
  status: number,
  { message, given = '', plain = message }: FormFault,
): void {
  if (!wantsHtml(context)) text(context, status, plain);
  else html(context, status, formPage({ ...pageOf(needs, options), given, fault: message }));
}

function pageOf(
  { nodeName }: SetupRoutesNeeds,
  { closesAtMs }: SetupRoutesOptions,
): { nodeName: string; closesAtMs: number } {
  return { nodeName: nodeName(), closesAtMs };
}

/** Browsers ask for it; scripts get the original's plain words. */
function wantsHtml(context: Koa.Context): boolean {
  return (context.get('Accept') ?? '').includes('text/html');
}

function html(context: Koa.Context, status: number, body: string): void {
  context.status = status;
  context.set('Content-Type', 'text/html; charset=utf-8');
  context.body = body;
}

function text(context: Koa.Context, status: number, body: string): void {
  context.status = status;
  context.set('Content-Type', 'text/plain; charset=utf-8');
  context.body = body;
}
