// Sends a file, or the part of it that was asked for, piece by piece. A file that becomes shorter meanwhile ends the
// connection: what was announced cannot be kept, and the client must not take the rest for the file.

import type { ServerResponse } from 'node:http';
import { extname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type Koa from 'koa';
import type { BrowseFile } from '../../browse/browse.ts';
import { AgentError } from '../../errors.ts';
import { errorAnswer } from '../error-response.ts';
import { decideShare, type FileFacts, type Share } from './browse-range.ts';

const pieceBytes = 256 * 1024;
/** What the type of a file without a known ending is guessed from, as Go does. */
const sniffBytes = 512;

/** Rejects with what reading rejects with; where the head is out by then, the connection has been cut. */
export async function sendFile(context: Koa.Context, file: BrowseFile): Promise<void> {
  const { res } = context;
  const facts = { sizeBytes: file.sizeBytes, modifiedMs: file.modifiedMs, etag: `"${file.tag}"` };
  const share = decideShare(context.req.headers, facts);
  if (share.kind === 'unsatisfiable' || share.kind === 'precondition-failed') {
    setHeaders(context, facts, share);
    const status = share.kind === 'unsatisfiable' ? 416 : 412;
    const { body } = errorAnswer(
      status,
      'Unable to open file',
      status === 416 ? 'invalid range' : 'it has changed',
    );
    context.status = status;
    context.set('Content-Type', 'application/json');
    context.body = body;
    return;
  }
  if (share.kind === 'not-modified') {
    setHeaders(context, facts, share);
    context.status = 304;
    return;
  }
  const [first, last] = share.kind === 'part' ? [share.first, share.last] : [0, file.sizeBytes - 1];
  // All that may fail, before a head of this answer is there.
  const begin = await readPiece(file, first, last);
  context.type = extname(file.name);
  if (context.type === '') context.set('Content-Type', await guessType(file));
  setHeaders(context, facts, share);
  context.status = share.kind === 'part' ? 206 : 200;
  context.length = last - first + 1;
  // The stream is ours from here: koa leaves a broken one open.
  context.respond = false;
  await send(res, pieces(file, begin, first, last));
}

function setHeaders(context: Koa.Context, facts: FileFacts, share: Share): void {
  const { sizeBytes, modifiedMs, etag } = facts;
  context.set('Accept-Ranges', 'bytes');
  context.set('ETag', etag);
  context.set('Last-Modified', new Date(modifiedMs).toUTCString());
  // Portainer serves this under its own origin: a page in a volume must not act there in its reader's name.
  context.set('Content-Security-Policy', 'sandbox');
  context.set('X-Content-Type-Options', 'nosniff');
  if (share.kind === 'part') context.set('Content-Range', `bytes ${share.first}-${share.last}/${sizeBytes}`);
  if (share.kind === 'unsatisfiable') context.set('Content-Range', `bytes */${sizeBytes}`);
}

async function guessType(file: BrowseFile): Promise<string> {
  const start = await file.read(0, sniffBytes);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what texts do not hold
  const isText = !/[\u0000-\u0008\u000b\u000e-\u001a\u001c-\u001f]/.test(start.toString('latin1'));
  return isText ? 'text/plain; charset=utf-8' : 'application/octet-stream';
}

/** Empty behind the last byte. */
async function readPiece(file: BrowseFile, at: number, last: number): Promise<Buffer> {
  if (at > last) return Buffer.alloc(0);
  const piece = await file.read(at, Math.min(pieceBytes, last - at + 1));
  if (piece.length === 0) throw new AgentError('unavailable', 'read a file: it became shorter meanwhile');
  return piece;
}

async function* pieces(file: BrowseFile, begin: Buffer, first: number, last: number): AsyncGenerator<Buffer> {
  let at = first;
  for (let piece = begin; piece.length > 0; piece = await readPiece(file, at, last)) {
    yield piece;
    at += piece.length;
  }
}

/** The head is out, so that a failure can only be told by cutting the connection, which `pipeline` does. */
async function send(res: ServerResponse, content: AsyncGenerator<Buffer>): Promise<void> {
  try {
    await pipeline(content, res);
  } catch (error) {
    res.destroy();
    // Everything else is a client that left.
    if (error instanceof AgentError) throw error;
  }
}
