// Small requests of our own to other agents over node:https, each on a connection pinned to the member's record.

import https from 'node:https';
import type { Duplex } from 'node:stream';
import type { Member, MemberRecord } from '../cluster/cluster.ts';
import { AgentError, toAgentError } from '../errors.ts';

/** Opens a TLS connection that showed the certificate of the record. */
export type DialPeer = (record: MemberRecord) => Promise<Duplex>;

/** An answer of ours to another agent is some 400 bytes. */
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

/** Posts a text and resolves with the answer's. Rejects with `member-unreachable` on anything but 200. */
export function postToPeer(
  dial: DialPeer,
  member: Member,
  path: string,
  body: string,
  signal: AbortSignal,
): Promise<string> {
  const { address, peerPort, nodeName } = member.record;
  const attempted = `post ${path} to the agent of ${nodeName}`;
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void => reject(toAgentError(error, 'member-unreachable', attempted));
    const request = https.request(
      { host: address, port: peerPort, path, method: 'POST', agent: createPeerAgent(dial, member), signal },
      (response) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on('error', fail);
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          chunks.push(chunk);
          if (bytes > maxAnswerBytes)
            response.destroy(new AgentError('limit-exceeded', `${attempted}: too large`));
        });
        response.on('end', () => {
          if (response.statusCode === 200) resolve(Buffer.concat(chunks).toString('utf8'));
          else fail(new Error(`status ${response.statusCode}`));
        });
      },
    );
    request.on('error', fail);
    request.end(body);
  });
}
