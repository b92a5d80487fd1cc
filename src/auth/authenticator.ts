// Decides over each request's signature headers. A pair that was verified is remembered, so that a client whose
// signature never changes (the Docker CLI) costs one lookup; everything else is verified off the event loop, at most so
// many at a time.

import { reasonOf } from '../errors.ts';
import type { AssociationStore, Authenticator, Claim, Refusal, Verdict } from './auth.ts';
import {
  defaultMessage,
  type ParsedKey,
  parsePublicKey,
  parseSignature,
  verifySignature,
} from './portainer-ecdsa.ts';

export interface AuthenticatorNeeds {
  readonly association: AssociationStore;
}

export interface AuthenticatorOptions {
  readonly secret: string | undefined;
}

/** Pairs remembered; Portainer makes a new signature for each request, so that old ones only take room. */
export const maxVerifiedPairs: number = 4096;
/** Verifications under way; some 10,000 a second are possible, so this is well under a second of waiting. */
export const maxPendingVerifications: number = 1024;
/** Bytes of both headers together: the largest known curve takes 316 + 176. */
export const maxSignatureHeaderBytes: number = 2048;

const trusted: Verdict = { kind: 'trusted' };

export function createAuthenticator(needs: AuthenticatorNeeds, options: AuthenticatorOptions): Authenticator {
  const message = Buffer.from(options.secret ?? defaultMessage);
  // Signature text → the key (hex) that it was verified with.
  const verified = new Map<string, string>();
  const { association } = needs;
  const secretMode = options.secret !== undefined;
  let associatedKey: ParsedKey | undefined;
  let pending = 0;

  /** The one key that counts, whatever the header says; undefined where the header decides. */
  const pinnedHex = (): string | undefined =>
    secretMode ? undefined : association.current().key?.publicKeyHex;

  const keyFor = (pinned: string | undefined, header: string): ParsedKey => {
    if (pinned === undefined) return parsePublicKey(header);
    if (associatedKey?.hex !== pinned) associatedKey = parsePublicKey(pinned);
    return associatedKey;
  };

  const remember = (signature: string, hex: string): void => {
    verified.set(signature, hex);
    if (verified.size <= maxVerifiedPairs) return;
    const [oldest] = verified.keys();
    if (oldest !== undefined) verified.delete(oldest);
  };

  /** Undefined when this key is the one that holds, or any may. */
  const hold = (hex: string, mayAssociate: boolean): Refusal | undefined => {
    if (secretMode) return undefined;
    // Somebody else may have been associated, or forgotten, while this one was being verified.
    const { key } = mayAssociate ? association.associate(hex) : association.current();
    if (key?.publicKeyHex === hex) return undefined;
    return key === undefined
      ? refused('not-through-tunnel', 'this agent takes its first Portainer through its tunnel only')
      : refused('other-key', 'unauthorized');
  };

  const check = async (publicKey: string, signature: string, mayAssociate: boolean): Promise<Verdict> => {
    const pinned = pinnedHex();
    const key = attempt(() => keyFor(pinned, publicKey), 'malformed-key');
    if (isRefusal(key)) return key;
    const bytes = attempt(() => parseSignature(signature), 'malformed-signature');
    if (isRefusal(bytes)) return bytes;
    if (!(await verifySignature(message, key, bytes))) {
      return refused(
        pinned !== undefined && pinned !== publicKey.toLowerCase() ? 'other-key' : 'mismatch',
        'unauthorized',
      );
    }
    const unheld = hold(key.hex, mayAssociate);
    if (unheld !== undefined) return unheld;
    remember(signature, key.hex);
    return trusted;
  };

  return {
    authenticate({ publicKey, signature, mayAssociate }: Claim): Verdict | Promise<Verdict> {
      if (publicKey === undefined || publicKey === '' || signature === undefined || signature === '') {
        return { kind: 'refused', code: 'signature-missing', details: 'Unauthorized', reason: 'missing' };
      }
      if (publicKey.length + signature.length > maxSignatureHeaderBytes)
        return refused('malformed-key', 'too long');
      const known = verified.get(signature);
      if (
        known !== undefined &&
        known === (pinnedHex() ?? (secretMode ? publicKey.toLowerCase() : undefined))
      ) {
        return trusted;
      }
      if (pending >= maxPendingVerifications) {
        return {
          kind: 'refused',
          code: 'limit-exceeded',
          details: 'Too many signatures to verify',
          reason: 'overload',
        };
      }
      pending += 1;
      return check(publicKey, signature, mayAssociate).finally(() => {
        pending -= 1;
      });
    },
  };
}

/** The value, or the refusal that its error means. */
function attempt<T extends object>(parse: () => T, reason: Refusal['reason']): T | Refusal {
  try {
    return parse();
  } catch (error) {
    return refused(reason, reasonOf(error));
  }
}

function isRefusal(value: object): value is Refusal {
  return 'kind' in value && value.kind === 'refused';
}

function refused(reason: Refusal['reason'], details: string): Refusal {
  return {
    kind: 'refused',
    code: 'signature-invalid',
    details: `${details.charAt(0).toUpperCase()}${details.slice(1)}`,
    reason,
  };
}
