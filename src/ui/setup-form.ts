// Reads what a browser or a script sent to the page, and says whether it came from a page of another site.

import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';

/** What is wrong with a request, for people and, where it differs, in the original's words. */
export interface FormFault {
  readonly message: string;
  readonly plain?: string;
  /** Shown in the field again. */
  readonly given?: string;
}

/** A key of the greatest length, percent-encoded. */
const maxFormBytes = 16 * 1024;

/** Undefined: too large, of another type, or the client left within it. */
export async function readForm(req: IncomingMessage): Promise<URLSearchParams | undefined> {
  const type = req.headers['content-type']?.split(';')[0]?.trim().toLowerCase() ?? '';
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of req.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > maxFormBytes) break;
      chunks.push(chunk);
    }
  } catch {
    return undefined;
  }
  if (bytes > maxFormBytes) {
    // What still comes is dropped, so that the client reads the answer and not a reset.
    req.resume();
    return undefined;
  }
  if (bytes === 0) return new URLSearchParams();
  if (type !== 'application/x-www-form-urlencoded') return undefined;
  return new URLSearchParams(Buffer.concat(chunks).toString('utf8'));
}

/** Browsers say where a request comes from; scripts do not, and are no danger here. The host itself is checked before. */
export function isForeign(headers: IncomingHttpHeaders): boolean {
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true;
  const { origin, host } = headers;
  if (origin === undefined) return false;
  return URL.parse(origin)?.host !== host?.replace(/:80$/, '');
}
