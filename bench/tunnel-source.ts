// The API at the tunnel's near end, for the bench: as many bytes as its path says. Prints its port.

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const chunk = Buffer.alloc(64 * 1024, 7);

const server = createServer((request, response) => {
  let left = Number(request.url?.slice(1) ?? 0);
  response.writeHead(200, { 'Content-Length': left });
  const write = (): void => {
    while (left > 0) {
      const size = Math.min(left, chunk.length);
      left -= size;
      if (!response.write(chunk.subarray(0, size)) && left > 0) {
        response.once('drain', write);
        return;
      }
    }
    response.end();
  };
  write();
});
server.listen(0, '127.0.0.1', () =>
  process.stdout.write(`${JSON.stringify({ port: (server.address() as AddressInfo).port })}\n`),
);
