// Global requests (RFC 4254 §4) in both directions. Answers come in the order of the questions and carry no number.
// chisel puts raw text behind the message's number where the RFC has nothing.

import { AgentError } from '../../../errors.ts';
import { msg } from './numbers.ts';
import { message, shownText, string, type WireReader } from './wire.ts';

export interface GlobalReply {
  readonly ok: boolean;
  readonly text: string;
}

export interface Requests {
  ask(name: string, data: string): Promise<GlobalReply>;
  /** Returns false when the number is none of these. */
  onMessage(number: number, reader: WireReader): boolean;
  /** What is asked, and what will be, is rejected with the reason. */
  destroy(reason: Error): void;
}

/** We ask one thing at a time; so many without an answer and the server has none. */
const maxPendingRequests = 16;

export function createRequests(send: (payload: Buffer) => void): Requests {
  const pending: PromiseWithResolvers<GlobalReply>[] = [];
  let ended: Error | undefined;

  const answer = (reader: WireReader): void => {
    const name = reader.text();
    const wantsReply = reader.u8() !== 0;
    if (!wantsReply) return;
    if (name === 'ping') send(message(msg.requestSuccess, Buffer.from('pong')));
    else send(message(msg.requestFailure));
  };

  return {
    ask(name, data): Promise<GlobalReply> {
      const asked = Promise.withResolvers<GlobalReply>();
      // Whoever asks may not have heard of the end yet.
      if (ended !== undefined) asked.reject(ended);
      else if (pending.length >= maxPendingRequests)
        asked.reject(new AgentError('limit-exceeded', `ask tunnel server (${name}): it answers nothing`));
      else {
        pending.push(asked);
        send(message(msg.globalRequest, string(name), Buffer.from([1]), Buffer.from(data)));
      }
      return asked.promise;
    },
    onMessage(number, reader): boolean {
      if (number === msg.globalRequest) {
        answer(reader);
        return true;
      }
      if (number !== msg.requestSuccess && number !== msg.requestFailure) return false;
      const asked = pending.shift();
      asked?.resolve({ ok: number === msg.requestSuccess, text: shownText(reader.rest()) });
      return asked !== undefined;
    },
    destroy(reason): void {
      ended = reason;
      for (const { reject } of pending.splice(0)) reject(reason);
    },
  };
}
