// Questions and answers over one libp2p stream: one side asks, the other answers, each exchange with its own number.
// The stream is long-lived, so that a probe costs two small packets and no negotiation.

import type { Stream } from '@libp2p/interface';
import { AgentError, reasonOf } from '../errors.ts';
import { createFrameReader, encodeFrame, type Frame } from './frames.ts';
import { type Answer, parseAnswer, parseQuestion, type Question } from './messages.ts';

export const memberProtocol = '/flotilla/member/1';

export interface Asker {
  isOpen(): boolean;
  ask(question: Question, timeoutMs: number): Promise<Answer>;
}

/** Questions of one peer in progress, asked or being answered. */
const maxInFlight = 64;
/** One full state and some pings may wait for a slow peer. */
const maxWriteBufferBytes = 4_194_304;

export function createAsker(stream: Stream): Asker {
  const waiting = new Map<number, PromiseWithResolvers<Answer>>();
  let nextId = 1;
  stream.maxWriteBufferLength = maxWriteBufferBytes;

  const fail = (error: unknown): void => {
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  };
  onFrames(stream, (frame) => {
    const exchange = waiting.get(frame.id);
    waiting.delete(frame.id);
    // A late answer to a question that timed out has nobody waiting.
    exchange?.resolve(parseAnswer(frame.body));
  });
  stream.addEventListener('close', () => fail(new AgentError('member-unreachable', 'ask: stream closed')));

  return {
    isOpen: () => stream.status === 'open' && stream.writeStatus === 'writable',
    ask: async (question, timeoutMs) => {
      if (waiting.size >= maxInFlight) throw new AgentError('limit-exceeded', 'ask: too many questions');
      const id = nextId++;
      const exchange = Promise.withResolvers<Answer>();
      waiting.set(id, exchange);
      const late = new AgentError('timeout', `ask ${question.kind}: no answer in ${timeoutMs} ms`);
      const timer = setTimeout(() => exchange.reject(late), timeoutMs);
      try {
        stream.send(encodeFrame({ id, body: question }));
        return await exchange.promise;
      } finally {
        clearTimeout(timer);
        waiting.delete(id);
      }
    },
  };
}

/** Answers what arrives on a stream, until it closes. */
export function answerQuestions(stream: Stream, answer: (question: Question) => Promise<Answer>): void {
  let inFlight = 0;
  stream.maxWriteBufferLength = maxWriteBufferBytes;

  const reply = async (frame: Frame): Promise<void> => {
    inFlight += 1;
    try {
      const body = await answer(parseQuestion(frame.body));
      if (stream.writeStatus === 'writable') stream.send(encodeFrame({ id: frame.id, body }));
    } finally {
      inFlight -= 1;
    }
  };
  onFrames(stream, (frame) => {
    if (inFlight >= maxInFlight) throw new AgentError('limit-exceeded', 'answer: too many questions');
    reply(frame).catch((error: unknown) => abort(stream, error));
  });
}

function onFrames(stream: Stream, onFrame: (frame: Frame) => void): void {
  const read = createFrameReader();
  stream.addEventListener('message', (event) => {
    try {
      for (const frame of read(event.data.subarray())) onFrame(frame);
    } catch (error) {
      abort(stream, error);
    }
  });
}

function abort(stream: Stream, error: unknown): void {
  stream.abort(error instanceof Error ? error : new AgentError('protocol-violation', reasonOf(error)));
}
