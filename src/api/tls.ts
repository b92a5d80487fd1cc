// TLS settings of the two listeners. Nobody verifies a chain here: Portainer skips it, and agents compare the
// certificate with the member record, on every request.

import { constants } from 'node:crypto';
import type { TlsOptions } from 'node:tls';

interface CertificateAndKey {
  /** PEM. */
  readonly cert: string;
  readonly key: string;
}

/** agent-api.md 3.2; TLS 1.3 brings its own suites. */
const compatSuites = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
].join(':');

export function compatTls({ cert, key }: CertificateAndKey): TlsOptions {
  return { cert, key, minVersion: 'TLSv1.2', ciphers: compatSuites };
}

/** Asks for the caller's certificate and takes any: which one it is decides at the gate. */
export function peerTls({ cert, key }: CertificateAndKey): TlsOptions {
  return {
    cert,
    key,
    minVersion: 'TLSv1.3',
    requestCert: true,
    rejectUnauthorized: false,
    // A resumed session would keep the certificate of an earlier handshake (attack A-42).
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}
