// Another agent's peer listener for tests: a real TLS server on loopback with a certificate of its own, that answers as
// the test says. And the member records and views that lead to it.

import { once } from 'node:events';
import type { IncomingMessage, RequestListener } from 'node:http';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { createIdentity, type TlsCertificate } from '../../src/auth/identity.ts';
import type { ClusterView, Member, MemberRecord, MissingMember } from '../../src/cluster/cluster.ts';

export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  /** SHA-256 of the client's certificate, as in member records. */
  readonly clientFingerprint: string | undefined;
}

export interface FakePeer extends AsyncDisposable {
  readonly member: Member;
  readonly requests: SeenRequest[];
  readonly server: https.Server;
  /** Replaces what answers. */
  serve(listener: RequestListener): void;
  openSockets(): number;
  /** The clients' ports of the sockets that are open. */
  clientPorts(): number[];
  /** The most sockets that were open at once. */
  peakSockets(): number;
  /** From now on new connections see this certificate. */
  present(certificate: TlsCertificate): void;
}

export async function startFakePeer(nodeName: string): Promise<FakePeer> {
  const { peer: certificate } = await createIdentity();
  const requests: SeenRequest[] = [];
  const sockets = new Set<Socket>();
  let peak = 0;
  let answer: RequestListener = (_req, res) => res.end();
  const server = https.createServer(
    { ...tlsOf(certificate), requestCert: true, rejectUnauthorized: false },
    (req, res) => {
      requests.push(toSeen(req));
      answer(req, res);
    },
  );
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    peak = Math.max(peak, sockets.size);
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    member: memberOf({ nodeName, peerPort: port, tlsFingerprint: certificate.fingerprint }),
    requests,
    server,
    serve: (listener) => {
      answer = listener;
    },
    openSockets: () => sockets.size,
    clientPorts: () => [...sockets].map(({ remotePort }) => remotePort ?? 0),
    peakSockets: () => peak,
    present: (other) => server.setSecureContext(tlsOf(other)),
    async [Symbol.asyncDispose](): Promise<void> {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

function tlsOf({ cert, key }: TlsCertificate): https.ServerOptions {
  return { cert, key, minVersion: 'TLSv1.3' };
}

function toSeen(req: IncomingMessage): SeenRequest {
  const certificate = (req.socket as TLSSocket).getPeerX509Certificate();
  return {
    method: req.method ?? '',
    url: req.url ?? '',
    headers: req.headers,
    clientFingerprint: certificate?.fingerprint256.replaceAll(':', '').toLowerCase(),
  };
}

let started = 0;

/** A member with plausible values for all that is not given. */
export function memberOf(
  record: Partial<MemberRecord> & { readonly nodeName: string },
  self = false,
): Member {
  started += 1;
  return {
    self,
    state: 'alive',
    record: {
      peerId: `peer-${record.nodeName}-${started}`,
      nodeId: `id-${record.nodeName}`,
      engineId: `engine-${record.nodeName}`,
      role: 'worker',
      leader: false,
      engineVersion: '20.10.24',
      apiVersion: '1.41',
      minApiVersion: '1.12',
      agentVersion: '0.1.0',
      address: '127.0.0.1',
      apiPort: 9001,
      peerPort: 9002,
      gossipPort: 7946,
      tlsFingerprint: '',
      generation: started,
      incarnation: 0,
      edgeKeySet: false,
      ...record,
    },
  };
}

export interface Views {
  view(): ClusterView;
  onViewChange(listener: (view: ClusterView) => void): () => void;
  /** Replaces the members; self stays. */
  change(others: readonly Member[], missing?: readonly MissingMember[]): void;
  listeners(): number;
}

/** A cluster as one of its members sees it, changed by the test. */
export function createViews(others: readonly Member[], selfName = 'self'): Views {
  const self = memberOf({ nodeName: selfName }, true);
  const listeners = new Set<(view: ClusterView) => void>();
  const viewOf = (members: readonly Member[], missing: readonly MissingMember[]): ClusterView => {
    return { state: 'joined', self, members: [self, ...members], missing };
  };
  let current = viewOf(others, []);
  return {
    view: () => current,
    onViewChange(listener): () => void {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    change(members, missing = []): void {
      current = viewOf(members, missing);
      for (const listener of listeners) listener(current);
    },
    listeners: () => listeners.size,
  };
}
