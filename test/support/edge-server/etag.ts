// The ETag that Portainer gives to poll answers: FNV-1a, 32 bits, of the body's bytes, in hex without leading zeros.

export function etagOf(body: string): string {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(body)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash.toString(16);
}
