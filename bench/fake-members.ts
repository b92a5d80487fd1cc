// A process of its own with many fake members behind real TLS and one fake engine: run by `fork`, told by messages. They
// answer lists of labelled containers, as agents do that decorate their own part.

import { once } from 'node:events';
import http, { type RequestListener } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { createIdentity } from '../src/auth/identity.ts';
import { decorateHeader, peerPaths } from '../src/wire.ts';

/** Parent to child. */
export type Order =
  | {
      readonly kind: 'start';
      readonly members: number;
      readonly containers: number;
      readonly socketPath: string;
    }
  /** From now on this member accepts and never answers. */
  | { readonly kind: 'hole'; readonly member: number };

/** Child to parent, once after `start`. */
export interface Started {
  readonly fingerprint: string;
  readonly ports: readonly number[];
}

async function start({
  members,
  containers,
  socketPath,
}: Extract<Order, { kind: 'start' }>): Promise<Started> {
  // One certificate for all: what is measured comes after the handshakes.
  const { peer } = await createIdentity();
  const ports = await Promise.all(
    Array.from({ length: members }, async (_, index) => {
      const name = `node-${index}`;
      const list = listOf(name, containers, true);
      const server = https.createServer(
        {
          cert: peer.cert,
          key: peer.key,
          minVersion: 'TLSv1.3',
          requestCert: true,
          rejectUnauthorized: false,
        },
        (req, res) => {
          if (holes.has(index)) return;
          if (req.url === peerPaths.health) res.writeHead(204).end();
          else if (req.headers[decorateHeader] === 'label') send(list)(req, res);
          else res.writeHead(400).end();
        },
      );
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      return (server.address() as AddressInfo).port;
    }),
  );
  const engine = http.createServer(send(listOf('self', containers, false)));
  engine.listen(socketPath);
  await once(engine, 'listening');
  return { fingerprint: peer.fingerprint, ports };
}

const holes = new Set<number>();

function send(body: Buffer): RequestListener {
  return (_req, res) => {
    res.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': body.length });
    res.end(body);
  };
}

/** Of the size that containers of a Swarm service have in a list, newest first. */
function listOf(node: string, containers: number, labelled: boolean): Buffer {
  const items = Array.from({ length: containers }, (_, index) => {
    const id = Buffer.from(`${node}-${index}`).toString('hex').padEnd(64, '0').slice(0, 64);
    return {
      Id: id,
      Names: [`/shop_web.${index}.${id.slice(0, 25)}`],
      Image: `registry.example/shop/web:1.${index}@sha256:${id}`,
      ImageID: `sha256:${id}`,
      Command: 'docker-entrypoint.sh node server.js --port 8080',
      Created: 1_763_800_000 - index * 97,
      Ports: [{ IP: '0.0.0.0', PrivatePort: 8080, PublicPort: 30_000 + index, Type: 'tcp' }],
      Labels: {
        'com.docker.swarm.node.id': id.slice(0, 25),
        'com.docker.swarm.service.id': id.slice(5, 30),
        'com.docker.swarm.service.name': 'shop_web',
        'com.docker.swarm.task.name': `shop_web.${index}.${id.slice(0, 25)}`,
        'org.opencontainers.image.description': 'the "shop": {web} [front]',
        ...(labelled ? { 'flotilla.node': node } : {}),
      },
      State: 'running',
      Status: `Up ${index + 1} hours`,
      HostConfig: { NetworkMode: 'shop_default' },
      NetworkSettings: {
        Networks: {
          shop_default: {
            IPAMConfig: { IPv4Address: '10.0.1.7' },
            Links: null,
            Aliases: null,
            NetworkID: id,
            EndpointID: id,
            Gateway: '',
            IPAddress: '10.0.1.7',
            IPPrefixLen: 24,
            MacAddress: '02:42:0a:00:01:07',
            DriverOpts: null,
          },
        },
      },
      Mounts: [
        { Type: 'volume', Name: 'shop_data', Source: '', Destination: '/data', RW: true, Propagation: '' },
      ],
    };
  });
  return Buffer.from(`${JSON.stringify(items)}\n`);
}

// Only a child is sent messages; the parent imports the types alone.
process.on('message', (order: Order) => {
  if (order.kind === 'hole') {
    holes.add(order.member);
    return;
  }
  start(order).then(
    (started) => process.send?.(started),
    (error: unknown) => {
      process.stderr.write(`${String(error)}\n`);
      process.exit(1);
    },
  );
});
