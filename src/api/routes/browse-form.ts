// Reads an uploaded form as it streams: the file part goes on to its saver, the folder's name is kept. Knows the wire
// only; whether the form was whole decides what becomes of the file.

import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import busboy from 'busboy';
import { AgentError } from '../../errors.ts';

export type ReceivedForm =
  | {
      readonly kind: 'whole';
      /** The first text field `Path`, as bytes. */
      readonly path: Buffer | undefined;
      /** The name of the first file field `file`, as the client sent it. */
      readonly fileName: Buffer | undefined;
    }
  /** No form, or one that was cut short. */
  | { readonly kind: 'bad'; readonly details: string };

/** `path` is that of the form where it came before the file. */
export type SaveFile = (file: AsyncIterable<Buffer>, path: Buffer | undefined) => Promise<void>;

/** Portainer sends two. */
const maxParts = 16;
/** A path, every byte of it escaped. */
const maxFieldBytes = 16 * 1024;
/** A client that sends nothing for so long has gone; its connection would hold a half file for ever. */
export const uploadSilenceMs = 120_000;

/**
 * Resolves when the form has arrived to its end, or has proved to be none. Rejects with what `save` rejects with, and with
 * `cancelled` when the client left. The rest of the body is dropped then, so that the client reads the answer.
 */
export async function receiveForm(
  req: IncomingMessage,
  save: SaveFile,
  silenceMs: number = uploadSilenceMs,
): Promise<ReceivedForm> {
  const form = createForm(req);
  if (typeof form === 'string') return { kind: 'bad', details: form };
  const saving = { work: Promise.resolve() };
  const received = collect(form, (file, folder) => {
    saving.work = save(file, folder);
    return saving.work;
  });
  const left = Promise.withResolvers<never>();
  const onLeft = (): void => {
    // Every request closes; this one before its end was read. All of it may have arrived: what was not read yet is lost.
    if (!req.readableEnded) left.reject(new AgentError('cancelled', 'receive a form: client left'));
  };
  req.once('error', onLeft).once('close', onLeft);
  req.setTimeout(silenceMs, () => req.destroy());
  try {
    req.pipe(form);
    return await Promise.race([received, left.promise]);
  } finally {
    req.unpipe(form);
    form.destroy();
    received.catch(() => undefined);
    // Whoever called disposes of the file next.
    await saving.work.catch(() => undefined);
    req.off('error', onLeft).off('close', onLeft);
    // The next request on this connection has its own bounds.
    req.setTimeout(0);
    req.on('error', () => undefined).resume();
  }
}

/**
 * Resolves when the answer may leave: a connection that is closed behind it must have taken the rest of the body first, or a
 * client that is still sending reads a reset instead. By then nothing of what was received may be left.
 */
export async function restDropped(req: IncomingMessage, silenceMs: number = uploadSilenceMs): Promise<void> {
  if (req.complete || req.destroyed || !closesBehind(req)) return;
  // Nobody reads a body that was no form.
  req.resume();
  req.setTimeout(silenceMs, () => req.destroy());
  await new Promise<void>((resolve) => req.once('end', resolve).once('close', resolve));
  req.setTimeout(0);
}

function closesBehind({ headers: { connection = '' }, httpVersion }: IncomingMessage): boolean {
  return httpVersion === '1.0' ? !/\bkeep-alive\b/i.test(connection) : /\bclose\b/i.test(connection);
}

/** Resolves behind the form's last byte, when the file is saved to its last byte. */
function collect(form: busboy.Busboy, save: SaveFile): Promise<ReceivedForm> {
  const headers = headersOf(form);
  return new Promise((resolve, reject) => {
    let path: Buffer | undefined;
    let fileName: Buffer | undefined;
    let saved: Promise<void> = Promise.resolve();
    const bad = (details: string): void => resolve({ kind: 'bad', details });
    form.on('field', (name, value, { valueTruncated }) => {
      if (valueTruncated) bad(`form field over ${maxFieldBytes} bytes`);
      if (name === 'Path') path ??= Buffer.from(value, 'latin1');
    });
    form.on('file', (name, stream: Readable, { filename }) => {
      // What breaks within the file is told by the form itself, first.
      stream.on('error', () => undefined);
      // Without a file name it is no file to Portainer; its type does not say that it may be missing.
      if (name !== 'file' || fileName !== undefined || !filename) {
        stream.resume();
        return;
      }
      fileName = Buffer.from(filename, headers.hasDecodedName() ? 'utf8' : 'latin1');
      saved = save(stream, path);
      // The saver's own failures are ours; that its stream broke means the form did.
      saved.catch((error: unknown) => (error instanceof AgentError ? reject(error) : bad('unexpected EOF')));
    });
    form.on('error', (error) => bad(error instanceof Error ? error.message : 'malformed form'));
    form.on('close', () => {
      saved.then(() => resolve({ kind: 'whole', path, fileName }), reject);
    });
  });
}

/** As text what is wrong with it. */
function createForm({ headers }: IncomingMessage): busboy.Busboy | string {
  const type = headers['content-type'] ?? '';
  if (!/^multipart\/form-data\s*(?:;|$)/i.test(type)) return "request Content-Type isn't multipart/form-data";
  try {
    return busboy({
      headers,
      // One character is one byte: names need not be UTF-8.
      defCharset: 'latin1',
      defParamCharset: 'latin1',
      // What is a folder is decided where names are.
      preservePath: true,
      limits: { parts: maxParts, fieldSize: maxFieldBytes },
    });
  } catch {
    return 'no multipart boundary param in Content-Type';
  }
}

/** The part of busboy's reader of headers that this file leans on; its own tests hold it in place. */
interface HeaderReader {
  cb: (headers: Record<string, string[] | undefined>) => void;
}

/**
 * What busboy does not tell of the part whose event it emits: whether `filename*` named a charset, by which the file's name
 * was decoded; else it is Latin-1, for bytes. The charset of a text is taken from it: also Go reads its bytes as they are.
 */
function headersOf(form: busboy.Busboy): { readonly hasDecodedName: () => boolean } {
  let reader: HeaderReader | null = null;
  let isWatched = false;
  let decoded = false;
  Object.defineProperty(form, '_hparser', {
    get: () => reader,
    set(next: HeaderReader | null) {
      if (next !== null && !isWatched) {
        // One reader for all parts.
        isWatched = true;
        const { cb } = next;
        next.cb = (headers) => {
          const [disposition = ''] = headers['content-disposition'] ?? [];
          const unquoted = disposition.replace(/"(?:\\.|[^"\\])*"/g, '""');
          decoded = /;\s*filename\*=[^';]*'[^';]*'[^;]/i.test(unquoted);
          headers['content-type'] = headers['content-type']?.map((type) => type.replace(/;.*/s, ''));
          cb(headers);
        };
      }
      reader = next;
    },
  });
  return { hasDecodedName: () => decoded };
}
