// Answers `GET /events` for the whole cluster: asks all engines, decides what the client is told first, and then streams
// until it leaves or its question ends. DESIGN.md says how.

import { answer, dockerError, type Exchange } from '../../exchange.ts';
import { flotillaHeaders } from '../../wire.ts';
import type { EndpointCall } from '../endpoint/call.ts';
import { settle } from '../endpoint/settle.ts';
import { advertisedRange } from '../endpoint/versions.ts';
import type { NodeOutcome } from '../fan-out.ts';
import { missingHeaders } from '../missing-header.ts';
import { EventStream, type EventStreamNeeds, type EventStreamOptions } from './event-stream.ts';
import { formOf } from './form.ts';
import { parseEventsQuery } from './query.ts';
import { type Selection, selectionOf } from './selection.ts';

/** Settles when the answer has ended; `answerHeaders` are on every answer. */
export type StreamEvents = (
  call: EndpointCall,
  exchange: Exchange,
  answerHeaders: readonly string[],
) => Promise<void>;

export type EventsNeeds = EventStreamNeeds;
export type EventsOptions = EventStreamOptions;

export function createEvents(needs: EventsNeeds, options: EventsOptions): StreamEvents {
  return async (call, exchange, answerHeaders) => {
    if (exchange.kind !== 'request') {
      const refusal = dockerError(400, 'flotilla: events are no connection to upgrade');
      answer(exchange, { ...refusal, headers: [...answerHeaders, ...refusal.headers] });
      return;
    }
    const query = parseEventsQuery(call.target.query);
    const selection = selectionOf(query.nodes);
    const stream = new EventStream(needs, options, { call, query, selection });
    const outcomes = await openAll(stream);
    if (outcomes === undefined) return;
    const head = headOf(outcomes, call, selection, needs.now());
    if (head.kind === 'answer') {
      stream.stop();
      answer(exchange, { ...head.answer, headers: [...answerHeaders, ...head.answer.headers] });
      return;
    }
    const form = formOf(acceptOf(call.rawHeaders), advertisedRange(call.view).max);
    const { req, res } = exchange;
    // Without `until` only the client ends it, and nobody reads a trailer; HTTP/1.0 has none.
    const hasTrailers = query.untilNs !== undefined && req.httpVersion !== '1.0';
    const names = hasTrailers ? trailerNames : [];
    try {
      res.writeHead(200, [...answerHeaders, 'Content-Type', form.contentType, ...head.headers, ...names]);
      res.flushHeaders();
      await stream.run(res, form);
    } catch (error) {
      stream.stop();
      // Not to be taken for an end.
      res.destroy();
      throw error;
    }
    if (hasTrailers) res.addTrailers(pairsOf(stream.trailers()));
    res.end();
  };
}

/** Undefined when the client has left meanwhile. */
async function openAll(stream: EventStream): Promise<readonly NodeOutcome[] | undefined> {
  try {
    return await stream.open();
  } catch {
    stream.stop();
    return undefined;
  }
}

type Head =
  | Extract<ReturnType<typeof settle>, { kind: 'answer' }>
  | { readonly kind: 'stream'; readonly headers: readonly string[] };

/** What the nodes that the client wants amount to; managers that were asked for the swarm's events only do not count. */
function headOf(
  outcomes: readonly NodeOutcome[],
  { strict }: EndpointCall,
  selection: Selection,
  nowMs: number,
): Head {
  const wanted = outcomes.filter(({ node }) => selection.wants(node));
  // A node that is not known may come.
  if (wanted.length === 0) return { kind: 'stream', headers: missingHeaders(0, [], nowMs) };
  const settled = settle(wanted, { strict, nowMs });
  return settled.kind === 'answer' ? settled : { kind: 'stream', headers: settled.headers };
}

/** Several headers of the name are one list (RFC 9110 section 5.3); Docker's client sends two. */
function acceptOf(rawHeaders: readonly string[]): string {
  return rawHeaders
    .filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === 'accept')
    .join(',');
}

const trailerNames: readonly string[] = ['Trailer', `${flotillaHeaders.nodes}, ${flotillaHeaders.missing}`];

function pairsOf(flat: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let at = 0; at + 1 < flat.length; at += 2) pairs.push([flat[at] ?? '', flat[at + 1] ?? '']);
  return pairs;
}
