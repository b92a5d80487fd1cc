// Answers what other agents measure on the peer listener: the clock here, and whether large payloads come through.
// Nothing is read or changed for it, so a member may ask without the client's signature.

import { answer, type Exchange, readBody } from '../exchange.ts';
import { peerPaths } from '../wire.ts';

/** What `peerPaths.clock` answers. */
export interface ClockAnswer {
  /** Wall clock, milliseconds. */
  readonly nowMs: number;
}

/** The largest payload that is measured with: many packets of any size of MTU. */
const maxEchoBytes = 64 * 1024;

/** False when the path is none of these. */
export async function servePeerProbe(
  exchange: Exchange,
  path: string,
  nowMs: () => number,
): Promise<boolean> {
  const asked = exchange.kind === 'request' ? `${exchange.req.method} ${path}` : undefined;
  if (asked === `GET ${peerPaths.clock}`) {
    const clock: ClockAnswer = { nowMs: nowMs() };
    answer(exchange, {
      status: 200,
      headers: ['Content-Type', 'application/json'],
      body: JSON.stringify(clock),
    });
    return true;
  }
  if (asked === `POST ${peerPaths.echo}`) {
    const body = await readBody(exchange, maxEchoBytes);
    answer(exchange, { status: 200, headers: ['Content-Type', 'application/octet-stream'], body });
    return true;
  }
  return false;
}
