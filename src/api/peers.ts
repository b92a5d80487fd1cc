// The gate of the peer listener. Arriving here is the hop marker: what a member asks for is executed here and never
// fanned out or forwarded. Who asks is compared with the current member records on every request.

import type { TLSSocket } from 'node:tls';
import type { Authenticator, Verdict } from '../auth/auth.ts';
import type { ClusterView, Member } from '../cluster/cluster.ts';
import { AgentError, toAgentError } from '../errors.ts';
import { acceptBody, answer, type Exchange, hasLeft, leaveSignal, readBody } from '../exchange.ts';
import type { Logger } from '../log.ts';
import type { DockerProxy, ListForm, ServePart } from '../proxy/proxy.ts';
import { decorateHeader, peerPaths, portainerHeaders } from '../wire.ts';
import { errorAnswer, toAnswer } from './error-response.ts';
import { findOwnRoute } from './own-route.ts';
import { servePeerProbe } from './peer-probe.ts';
import { cleanPath, parseTarget, type Target } from './target.ts';

export interface PeerGateNeeds {
  readonly view: () => ClusterView;
  readonly proxy: DockerProxy;
  /** This node's part of a list, its items decorated, for the entry agent to splice. */
  readonly servePart: ServePart;
  readonly serveOwn: (exchange: Exchange, route: string) => void;
  /** Whether a list would have to wait for the local engine. */
  readonly engineHangs: (signal: AbortSignal) => Promise<boolean>;
  /** Takes over what a member knows of the association, and says what holds then. Only with a cluster secret. */
  readonly exchangeAssociation: ((body: string) => string) | undefined;
  /** The same for the Edge key; undefined outside Edge mode. */
  readonly exchangeEdgeKey: ((body: string) => Promise<string>) | undefined;
  /** SHA-256 of a certificate's DER, in the form of member records. */
  readonly fingerprintOf: (certificate: Uint8Array) => string;
  /** Verifies what members pass on of the client's signature; undefined with a secret: then a member has authority. */
  readonly authenticator: Authenticator | undefined;
  readonly log: Logger;
}

/** The association is some 400 bytes. */
const maxAssociationBytes = 4096;
/** An Edge key of the greatest length, as JSON. */
const maxEdgeKeyBytes = 8192;

export interface PeerGate {
  handle(exchange: Exchange): void;
}

export function createPeerGate(needs: PeerGateNeeds): PeerGate {
  const fingerprints = new WeakMap<object, string>();
  return {
    handle(exchange): void {
      serve(needs, exchange, fingerprints).catch((error: unknown) => {
        refuse(needs, exchange, toAgentError(error, 'unavailable', 'serve a member'));
      });
    },
  };
}

async function serve(
  needs: PeerGateNeeds,
  exchange: Exchange,
  fingerprints: WeakMap<object, string>,
): Promise<void> {
  const { method = '', url = '' } = exchange.req;
  if (senderOf(needs, exchange, fingerprints) === undefined) {
    throw new AgentError('member-untrusted', 'accept a request: its certificate is no current member’s');
  }
  const target = parseTarget(url);
  if (target.path === peerPaths.health) {
    // A probe that passes lets lists wait for this node again, so it must not pass beside an engine that hangs.
    const hangs = await needs.engineHangs(leaveSignal(exchange));
    answer(exchange, { status: hangs ? 503 : 204, headers: [], body: '' });
    return;
  }
  if (target.path === peerPaths.association && method === 'POST') {
    await serveAssociation(needs, exchange);
    return;
  }
  if (target.path === peerPaths.edgeKey && method === 'POST') {
    await serveEdgeKey(needs, exchange);
    return;
  }
  if (await servePeerProbe(exchange, target.path, Date.now)) return;
  const verdict = await verdictOf(needs, exchange);
  if (hasLeft(exchange)) return;
  if (verdict.kind === 'refused') throw new AgentError(verdict.code, verdict.details);
  acceptBody(exchange);
  await execute(needs, exchange, target);
}

async function execute(needs: PeerGateNeeds, exchange: Exchange, target: Target): Promise<void> {
  const own = findOwnRoute(exchange.req.method ?? '', target.path, true, cleanPath);
  if (own.kind === 'found') {
    needs.serveOwn(exchange, own.route);
    return;
  }
  const form = exchange.req.headers[decorateHeader];
  const list = form === undefined ? undefined : needs.proxy.listKindOf(target.path);
  if (list !== undefined) {
    const { method = '', rawHeaders } = exchange.req;
    const request = { method, path: exchange.req.url ?? '', rawHeaders };
    const part = await needs.servePart(list, parseForm(form), request, leaveSignal(exchange));
    if (!hasLeft(exchange)) answer(exchange, part);
    return;
  }
  needs.proxy.here({ exchange, target, answerHeaders: [] });
}

/** A form of a later agent is refused: a part in another one would break the merged list. */
function parseForm(form: string | string[] | undefined): ListForm {
  if (form === 'portainer' || form === 'label') return form;
  throw new AgentError('request-invalid', `decorate a list: unknown form ${JSON.stringify(form)}`);
}

/** The member whose record pins the certificate that this connection was opened with. */
function senderOf(
  needs: PeerGateNeeds,
  exchange: Exchange,
  known: WeakMap<object, string>,
): Member | undefined {
  const { socket } = exchange.req;
  let fingerprint = known.get(socket);
  if (fingerprint === undefined) {
    // The peer listener is TLS only, so that its sockets are.
    const certificate = (socket as TLSSocket).getPeerX509Certificate()?.raw;
    if (certificate === undefined) return undefined;
    fingerprint = needs.fingerprintOf(certificate);
    known.set(socket, fingerprint);
  }
  return needs.view().members.find(({ record }) => record.tlsFingerprint === fingerprint);
}

function verdictOf({ authenticator }: PeerGateNeeds, { req }: Exchange): Verdict | Promise<Verdict> {
  if (authenticator === undefined) return { kind: 'trusted' };
  return authenticator.authenticate({
    // A member without authority passes on what its client signed: each agent is associated by that on its own.
    mayAssociate: true,
    publicKey: req.headers[portainerHeaders.publicKey]?.toString(),
    signature: req.headers[portainerHeaders.signature]?.toString(),
  });
}

async function serveAssociation({ exchangeAssociation }: PeerGateNeeds, exchange: Exchange): Promise<void> {
  if (exchangeAssociation === undefined || exchange.kind === 'upgrade') {
    answer(exchange, errorAnswer(404, 'Associations are shared only in a cluster with a secret'));
    return;
  }
  const sent = await readBody(exchange, maxAssociationBytes);
  const body = exchangeAssociation(sent.toString('utf8'));
  answer(exchange, { status: 200, headers: ['Content-Type', 'application/json'], body });
}

async function serveEdgeKey({ exchangeEdgeKey }: PeerGateNeeds, exchange: Exchange): Promise<void> {
  if (exchangeEdgeKey === undefined || exchange.kind === 'upgrade') {
    answer(exchange, errorAnswer(404, 'This agent does not run in Edge mode'));
    return;
  }
  const sent = await readBody(exchange, maxEdgeKeyBytes);
  const body = await exchangeEdgeKey(sent.toString('utf8'));
  answer(exchange, { status: 200, headers: ['Content-Type', 'application/json'], body });
}

function refuse({ log }: PeerGateNeeds, exchange: Exchange, error: AgentError): void {
  const { remoteAddress } = exchange.req.socket;
  if (error.code === 'cancelled' && hasLeft(exchange)) {
    // It gave up at its deadline, and says so itself.
    log.debug('member left', { error: error.message });
    return;
  }
  if (error.code === 'timeout') {
    // The same deadline, and it was ours that ended first.
    log.debug('engine too slow for a member', { error: error.message });
    answer(exchange, toAnswer(error));
    return;
  }
  log.warn('member refused', { reason: error.code, remote: remoteAddress, error: error.message });
  const untrusted = error.code === 'member-untrusted';
  answer(exchange, untrusted ? errorAnswer(403, 'Not a member of this cluster') : toAnswer(error));
}
