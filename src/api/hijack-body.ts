// Decides what body a hijacking request may bring. The end of a chunked one could only be found by parsing what is to
// pass as raw bytes, so that only the empty one is taken, which docker-modem sends with every `/session`. Pure.

import { AgentError } from '../errors.ts';
import type { Exchange } from '../exchange.ts';

/** The last chunk, without trailers: Node's client sends it in one piece with the head. */
const emptyChunks = Buffer.from('0\r\n\r\n');

/**
 * The same exchange without an empty chunked body: raw bytes behind the head would be the client's first input to what
 * it hijacks. `Transfer-Encoding` itself never passes on (headers.ts). Throws `request-invalid` for any other one.
 */
export function admitHijack(exchange: Exchange): Exchange {
  if (exchange.kind !== 'upgrade') return exchange;
  const { head, req } = exchange;
  const coding = req.headers['transfer-encoding'];
  if (coding === undefined) return exchange;
  const isEmpty = coding.toLowerCase() === 'chunked' && head.indexOf(emptyChunks) === 0;
  if (!isEmpty || req.headers.upgrade === undefined)
    throw new AgentError('request-invalid', 'hijack: its body must have a content length');
  return { ...exchange, head: head.subarray(emptyChunks.length) };
}
