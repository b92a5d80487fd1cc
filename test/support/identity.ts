// Certificates for a test's own side of a connection.

import { createIdentity, createServerCertificate, type TlsCertificate } from '../../src/auth/identity.ts';

export async function createTestIdentity(): Promise<TlsCertificate> {
  return (await createIdentity()).peer;
}

/** Vouches for itself: it is its own CA. */
export function createServerTestCertificate(host: string): Promise<TlsCertificate> {
  return createServerCertificate([host]);
}
