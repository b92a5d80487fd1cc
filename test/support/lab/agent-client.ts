// Calls an agent as Portainer does: HTTPS without verifying its certificate, every request signed.

import { request } from 'node:https';
import type { TLSSocket } from 'node:tls';

import type { Signer } from '../signer.ts';

export interface AgentCall {
  readonly address: string;
  readonly path: string;
  readonly signer: Signer;
  /** Default: 9001. */
  readonly port?: number;
  readonly method?: string;
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** The whole exchange. Default: 10 s. */
  readonly timeoutMs?: number;
}

export interface AgentAnswer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: string;
  /** The agent's certificate. */
  readonly certificatePem: string;
}

const defaultPort = 9001;
const defaultTimeoutMs = 10_000;
const maxBodyBytes = 64 * 1024 * 1024;

export function callAgent(call: AgentCall): Promise<AgentAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<AgentAnswer>();
  const body = call.body === undefined ? undefined : JSON.stringify(call.body);
  const type = body === undefined ? {} : { 'Content-Type': 'application/json' };
  const outgoing = request({
    host: call.address,
    port: call.port ?? defaultPort,
    path: call.path,
    method: call.method ?? 'GET',
    headers: { ...type, ...call.signer.headers(), ...call.headers },
    rejectUnauthorized: false,
    agent: false,
    signal: AbortSignal.timeout(call.timeoutMs ?? defaultTimeoutMs),
  });
  outgoing.on('error', reject);
  outgoing.on('response', (response) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    // `agent: false` over HTTPS: the socket is a TLS socket of this exchange alone.
    const { raw } = (response.socket as TLSSocket).getPeerCertificate();
    response.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > maxBodyBytes)
        response.destroy(new Error(`the answer to ${call.path} is over ${maxBodyBytes} bytes`));
      chunks.push(chunk);
    });
    response.on('error', reject);
    response.on('end', () =>
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers,
        body: Buffer.concat(chunks).toString('utf8'),
        certificatePem: toPem(raw),
      }),
    );
  });
  outgoing.end(body);
  return promise;
}

/** The body of a 200 as JSON; anything else is an error that shows it. */
export async function getJson(call: AgentCall): Promise<unknown> {
  const { status, body } = await callAgent(call);
  if (status !== 200) throw new Error(`${call.path} of ${call.address}: ${status} ${body.slice(0, 500)}`);
  return JSON.parse(body);
}

function toPem(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}
