// Answers whether a request is signed by somebody we trust (agent-api.md section 5), and who that is.
// In default mode the first key with a valid signature is associated; with a secret any key that signs it is accepted.

import type { Association } from './association.ts';

/** Why a request was refused, as the wire wants it. */
export interface Refusal {
  readonly kind: 'refused';
  readonly code: 'signature-missing' | 'signature-invalid' | 'limit-exceeded';
  /** The `details` member of the 403. */
  readonly details: string;
  /** For the log: what exactly did not fit. */
  readonly reason:
    | 'missing'
    | 'malformed-key'
    | 'malformed-signature'
    | 'mismatch'
    | 'other-key'
    | 'not-through-tunnel'
    | 'overload';
}

export interface Trusted {
  readonly kind: 'trusted';
}

export type Verdict = Trusted | Refusal;

export interface Signature {
  /** `X-PortainerAgent-PublicKey`; hex of a DER SubjectPublicKeyInfo. */
  readonly publicKey: string | undefined;
  /** `X-PortainerAgent-Signature`; unpadded standard base64 of r and s. */
  readonly signature: string | undefined;
}

/** A signature, and what its way here allows. */
export interface Claim extends Signature {
  /** Whether the first key may be associated by this. In Edge mode only what came through the tunnel may, here or at the member that passes it on. */
  readonly mayAssociate: boolean;
}

export interface Authenticator {
  /** Synchronous where the exact pair was verified before; otherwise verified off the event loop. */
  authenticate(claim: Claim): Verdict | Promise<Verdict>;
}

/** The associated key as cluster state: one writer per agent, the same outcome everywhere. */
export interface AssociationStore {
  current(): Association;
  /** Associates the key if none is; returns the association that holds afterwards. */
  associate(publicKeyHex: string): Association;
  /** Takes over what a peer or the disk knows; settled the same way on every agent. True when it changed ours. */
  merge(other: Association): boolean;
  /** Forgets the key, on this agent and, by spreading, on all. */
  forget(): Association;
  onChange(listener: (association: Association) => void): () => void;
  /** Resolves when everything up to now is on disk, or has failed to get there. */
  saved(): Promise<void>;
}
