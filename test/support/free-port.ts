// Ports for servers that a test starts later, or that are to be closed: no other process gets them meanwhile.

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below Linux's range for ports that nobody chose (32768 to 60999), which a server of another test may get at any time. */
const lowest = 20_000;
const highest = 32_767;
const maxAttempts = 100;

/** A port on which nothing listens at this address of the loopback, and that no other test is given while this process runs. */
export async function freePort(host: string = '127.0.0.1'): Promise<number> {
  for (let attempt = 0; attempt < maxAttempts; attempt += 1) {
    const port = lowest + Math.floor(Math.random() * (highest - lowest + 1));
    if ((await isFree(host, port)) && (await claim(port))) return port;
  }
  throw new Error(`no free port at ${host} in ${maxAttempts} attempts`);
}

/** By the same port of UDP, which nothing here uses: the kernel gives it to one process, and back when that ends. */
async function claim(port: number): Promise<boolean> {
  const token = createSocket('udp4').unref();
  try {
    token.bind({ port, address: '127.0.0.1', exclusive: true });
    await once(token, 'listening');
    return true;
  } catch {
    token.close();
    return false;
  }
}

export async function isFree(host: string, port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, host);
    await once(server, 'listening');
  } catch {
    return false;
  }
  server.close();
  await once(server, 'close');
  return true;
}
