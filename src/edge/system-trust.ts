// Makes this process trust the CAs of the system too, beside those that Node brings: Node reads the system's only when told.

import { getCACertificates, setDefaultCACertificates } from 'node:tls';

let isDone = false;

/**
 * For all TLS of the process that names no CA of its own. Reads files and parses hundreds of certificates, some tenths of a
 * second, so it is called before the first connection that needs it; only then, as the files are read once.
 */
export function trustSystem(): void {
  if (isDone) return;
  isDone = true;
  setDefaultCACertificates([...getCACertificates('default'), ...getCACertificates('system')]);
}
