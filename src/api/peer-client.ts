// Small requests of our own to other agents over node:https, each on a connection pinned to the member's record.

import https from 'node:https';
import type { Duplex } from 'node:stream';
import type { Member, MemberRecord } from '../cluster/cluster.ts';
import { AgentError, toAgentError } from '../errors.ts';

/** Opens a TLS connection that showed the certificate of the record. */
export type DialPeer = (record: MemberRecord) => Promise<Duplex>;

/** Bounds what a peer can make us read: an answer of ours is some 400 bytes, and the echo of a payload this long. */
const maxAnswerBytes = 64 * 1024;

/** An HTTPS agent for one member; a connection serves one request. */
export function createPeerAgent(dial: DialPeer, { record }: Member): https.Agent {
  const agent = new https.Agent({ keepAlive: false });
  // Node's own hook for agents that connect in their own way (http docs, `agent.createConnection`).
  agent.createConnection = (_options, callback) => {
    dial(record).then(
      (socket) => callback?.(null, socket),
      (error: Error) => callback?.(error, undefined as unknown as Duplex),
    );
    return undefined;
  };
  return agent;
}

export interface PeerAnswer {
  readonly status: number;
  readonly body: Buffer;
}

/** Sends a request and reads its answer, whatever its status. Rejects with what broke it, or with `limit-exceeded`. */
export function askPeer(
  options: https.RequestOptions,
  body: Buffer | string | undefined,
): Promise<PeerAnswer> {
  return new Promise((resolve, reject) => {
    const request = https.request(options, (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('error', reject);
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        chunks.push(chunk);
        if (bytes > maxAnswerBytes)
          response.destroy(new AgentError('limit-exceeded', `ask ${options.path} of an agent: too large`));
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) }));
    });
    request.on('error', reject);
    // Nobody asked for it, and Node then says neither `response` nor `error`.
    request.on('upgrade', (_response, socket) => socket.destroy());
    // Whatever else may end it without a word; once settled this does nothing.
    request.on('close', () =>
      reject(new AgentError('member-unreachable', `ask ${options.path} of an agent: no answer`)),
    );
    request.end(body);
  });
}

/** Posts a text and resolves with the answer's. Rejects with `member-unreachable` on anything but 200. */
export async function postToPeer(
  dial: DialPeer,
  member: Member,
  path: string,
  body: string,
  signal: AbortSignal,
): Promise<string> {
  const { address, peerPort, nodeName } = member.record;
  try {
    const answer = await askPeer(
      { host: address, port: peerPort, path, method: 'POST', agent: createPeerAgent(dial, member), signal },
      body,
    );
    if (answer.status !== 200) throw new Error(`status ${answer.status}`);
    return answer.body.toString('utf8');
  } catch (error) {
    throw toAgentError(error, 'member-unreachable', `post ${path} to the agent of ${nodeName}`);
  }
}
