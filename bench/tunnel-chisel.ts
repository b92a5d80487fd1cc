// A chisel server in a process of its own, for the bench, as Portainer's is one. Prints where it is, as JSON, and lets its
// one user open the port that it is told on its standard input.

import { generateKeyPairSync } from 'node:crypto';
import { createInterface } from 'node:readline';
import { startChiselServer } from '../test/support/edge-server/chisel-server.ts';

export interface ChiselAt {
  readonly port: number;
  readonly fingerprint: string;
}

const [user = '', password = ''] = process.argv.slice(2);
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const server = await startChiselServer({
  hostKeyPem: privateKey.export({ format: 'pem', type: 'sec1' }).toString(),
});
createInterface({ input: process.stdin }).on('line', (line) => server.allow(user, password, Number(line)));
const at: ChiselAt = { port: server.port, fingerprint: server.fingerprint };
process.stdout.write(`${JSON.stringify(at)}\n`);
