// The browse routes of Portainer's contract (agent-api.md 10), v2 and v1: what they take and answer on the wire.
// Which paths are inside is decided by the browse module.

import type Koa from 'koa';
import type { Browse, BrowsePath, BrowseUpload } from '../../browse/browse.ts';
import { AgentError } from '../../errors.ts';
import { type Answer, leaveSignal, readBody } from '../../exchange.ts';
import type { Logger } from '../../log.ts';
import { receiveForm, restDropped } from './browse-form.ts';
import {
  type BrowseRequest,
  badPayload,
  browseFailure,
  hostBrowseOff,
  missingPath,
  readRename,
} from './browse-plan.ts';
import { sendFile } from './browse-send.ts';

export interface BrowseRoutesNeeds {
  readonly browse: Browse;
  readonly log: Logger;
}

export type ServeBrowse = (context: Koa.Context, request: BrowseRequest) => Promise<void>;

/** Two paths of the longest kind, every byte escaped. */
const maxRenameBytes = 64 * 1024;
/** Whatever a client calls a volume. */
const maxLoggedChars = 255;
/** Of new files, less the umask; v1 has it tighter. */
const fileModes = { 1: 0o755, 2: 0o777 } as const;

export function createBrowseRoutes({ browse, log }: BrowseRoutesNeeds): ServeBrowse {
  return async (context, request) => {
    try {
      const answered = await serve(browse, context, request);
      if (answered !== undefined) reply(context, answered);
    } catch (error) {
      const failure =
        error instanceof AgentError
          ? error
          : new AgentError('unavailable', `browse ${request.action}: failed`, { cause: error });
      logFailure(log, request, failure, context.res.headersSent);
      reply(context, browseFailure(request, failure));
    }
  };
}

/** Of an answer that was cut the client learns nothing else. */
function logFailure(
  log: Logger,
  { action, volumeId }: BrowseRequest,
  failure: AgentError,
  isCut: boolean,
): void {
  const fields = {
    reason: failure.code,
    action,
    volume: volumeId?.slice(0, maxLoggedChars),
    error: failure.message,
  };
  if (isCut) log.warn('browse cut', fields);
  else if (failure.code === 'request-invalid') log.warn('browse refused', fields);
  else log.debug('browse failed', fields);
}

async function serve(
  browse: Browse,
  context: Koa.Context,
  request: BrowseRequest,
): Promise<Answer | undefined> {
  const { volumeId } = request;
  if (volumeId === undefined)
    throw new AgentError('request-invalid', 'invalid volume name. It is given twice or escaped wrongly');
  // Before the path is looked at, as the original: no path helps then.
  if (volumeId === '' && !browse.hostBrowse) return hostBrowseOff();
  return act(browse, context, { ...request, volumeId });
}

type NamedRequest = BrowseRequest & { readonly volumeId: string };

/** Undefined when it has answered by itself. */
function act(browse: Browse, context: Koa.Context, request: NamedRequest): Promise<Answer | undefined> {
  const signal = signalOf(context);
  switch (request.action) {
    case 'ls':
      return onPath(request, async (at) => json(await browse.list(at, signal)));
    case 'get':
      return onPath(request, async (at) => {
        await using file = await browse.open(at, signal);
        await sendFile(context, file);
        return undefined;
      });
    case 'delete':
      return onPath(request, async (at) => {
        await browse.remove(at, signal);
        return done;
      });
    case 'rename':
      return rename(browse, context, request, signal);
    case 'put':
      return put(browse, context, request, signal);
  }
}

async function onPath(
  { version, action, volumeId, path: given }: NamedRequest,
  serve: (at: BrowsePath) => Promise<Answer | undefined>,
): Promise<Answer | undefined> {
  // v1 means the volume's root then, except for removing it.
  const path = given ?? (version === 1 && action !== 'delete' ? Buffer.from('/') : undefined);
  if (path === undefined) return missingPath();
  return serve({ volumeId, path });
}

async function rename(
  browse: Browse,
  context: Koa.Context,
  { volumeId }: NamedRequest,
  signal: AbortSignal,
): Promise<Answer> {
  const body = await readBody(exchangeOf(context), maxRenameBytes);
  const paths = readRename(body.toString('utf8'));
  if (paths.kind === 'bad') return badPayload(paths.details);
  const from = { volumeId, path: Buffer.from(paths.from) };
  await browse.rename(from, Buffer.from(paths.to), signal);
  return done;
}

async function put(
  browse: Browse,
  context: Koa.Context,
  request: NamedRequest,
  signal: AbortSignal,
): Promise<Answer> {
  try {
    return await save(browse, context, request, signal);
  } finally {
    await restDropped(context.req);
  }
}

/** When it is done, no temporary file is left, whatever the client still sends. */
async function save(
  browse: Browse,
  context: Koa.Context,
  { version, volumeId }: NamedRequest,
  signal: AbortSignal,
): Promise<Answer> {
  await using uploads = new AsyncDisposableStack();
  let upload: BrowseUpload | undefined;
  const form = await receiveForm(context.req, async (file, folder) => {
    const mode = fileModes[version];
    // An empty one is refused when the form has ended, as a missing one.
    const expected = folder === undefined || folder.length === 0 ? { mode } : { mode, folder };
    upload = uploads.use(await browse.upload(volumeId, expected, signal));
    for await (const piece of file) await upload.write(piece);
  });
  if (form.kind === 'bad') return badPayload(form.details);
  if (form.fileName === undefined || upload === undefined) return badPayload('http: no such file');
  if (form.path === undefined || form.path.length === 0) return badPayload('invalid file path');
  await upload.place(form.path, form.fileName);
  return done;
}

const done: Answer = { status: 204, headers: [], body: '' };

function json(entries: Awaited<ReturnType<Browse['list']>>): Answer {
  const body = JSON.stringify(
    entries.map(({ name, sizeBytes, isFolder, modifiedSeconds }) => ({
      Name: name,
      Size: sizeBytes,
      Dir: isFolder,
      ModTime: modifiedSeconds,
    })),
  );
  return { status: 200, headers: ['Content-Type', 'application/json'], body };
}

function reply(context: Koa.Context, { status, headers, body }: Answer): void {
  // A file whose head is out can only be cut, which has been done.
  if (context.res.headersSent) return;
  context.status = status;
  if (status === 204) return;
  context.body = body;
  // Behind the body: koa gives a text its own type.
  for (let i = 0; i + 1 < headers.length; i += 2) context.set(headers[i] ?? '', headers[i + 1] ?? '');
}

function exchangeOf({ req, res }: Koa.Context): Parameters<typeof leaveSignal>[0] {
  return { kind: 'request', req, res };
}

function signalOf(context: Koa.Context): AbortSignal {
  return leaveSignal(exchangeOf(context));
}
