// A certificate for a test's own side of a peer connection.

import { createIdentity, type TlsCertificate } from '../../src/auth/identity.ts';

export async function createTestIdentity(): Promise<TlsCertificate> {
  return (await createIdentity()).peer;
}
