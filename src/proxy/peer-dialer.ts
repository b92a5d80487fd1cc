// Opens one TLS connection to a member's peer listener: ours is shown, theirs must be the one in the member's record.
// The chain is not verified, there is none: the record was signed by the member, and names its certificate.

import type net from 'node:net';
import tls from 'node:tls';
import type { MemberRecord } from '../cluster/cluster.ts';
import { AgentError, nodeCode, toAgentError } from '../errors.ts';

export interface PeerDialerOptions {
  /** Our certificate and key, PEM. */
  readonly cert: string;
  readonly key: string;
  /** To the end of the TLS handshake, milliseconds. */
  readonly connectTimeoutMs?: number;
}

export interface DialOptions {
  /** In the place of the dialer's own. */
  readonly timeoutMs?: number | undefined;
  /** Ends the attempt: rejects with its reason. */
  readonly signal?: AbortSignal;
}

/**
 * Rejects with `member-untrusted` on another certificate, `timeout` when nobody answers, `member-unreachable` else.
 * The socket may be half-closed, and is nobody's until the promise resolves.
 */
export type PeerDialer = (record: MemberRecord, options?: DialOptions) => Promise<tls.TLSSocket>;

/** A first packet that is lost is sent again after 1 s and 3 s (RFC 6298, 2): one lost packet must not fail a request. */
const defaultConnectTimeoutMs = 5_000;
/** Finds a peer that vanished under an idle stream, which no deadline covers. */
const tcpKeepAliveMs = 30_000;

export function createPeerDialer(options: PeerDialerOptions): PeerDialer {
  const secureContext = tls.createSecureContext({
    cert: options.cert,
    key: options.key,
    minVersion: 'TLSv1.3',
  });
  const timeoutMs = options.connectTimeoutMs ?? defaultConnectTimeoutMs;
  return (record, dialed = {}) => dial(record, secureContext, dialed.timeoutMs ?? timeoutMs, dialed.signal);
}

function dial(
  record: MemberRecord,
  secureContext: tls.SecureContext,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<tls.TLSSocket> {
  const attempted = `dial agent ${record.nodeName} at ${record.address}:${record.peerPort}`;
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    // No `session`: a resumed one would show the certificate of an earlier handshake, which may not be valid any more.
    const target: tls.ConnectionOptions & net.SocketConstructorOpts & net.TcpSocketConnectOpts = {
      host: record.address,
      port: record.peerPort,
      secureContext,
      rejectUnauthorized: false,
      allowHalfOpen: true,
    };
    const socket = tls.connect(target);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, tcpKeepAliveMs);
    const settle = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    };
    const fail = (error: unknown): void => {
      settle();
      // The socket may report more than one error on its way down; the first is the one that counts.
      socket.off('error', onError).on('error', () => undefined);
      socket.destroy();
      reject(error);
    };
    const onError = (error: Error): void => fail(fromDial(error, attempted));
    const onAbort = (): void => fail(signal?.reason);
    signal?.addEventListener('abort', onAbort);
    const timer = setTimeout(
      () => fail(new AgentError('timeout', `${attempted}: no answer in ${timeoutMs} ms`)),
      timeoutMs,
    );
    socket.once('error', onError);
    socket.once('secureConnect', () => {
      if (fingerprintOf(socket) !== record.tlsFingerprint) {
        fail(new AgentError('member-untrusted', `${attempted}: not the certificate of its member record`));
        return;
      }
      settle();
      socket.off('error', onError);
      resolve(socket);
    });
  });
}

function fingerprintOf(socket: tls.TLSSocket): string | undefined {
  return socket.getPeerX509Certificate()?.fingerprint256.replaceAll(':', '').toLowerCase();
}

/** The kernel's own time-out is ours too: nobody answered. */
function fromDial(error: Error, attempted: string): AgentError {
  const code = nodeCode(error) === 'ETIMEDOUT' ? 'timeout' : 'member-unreachable';
  return toAgentError(error, code, attempted);
}
