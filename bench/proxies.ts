// Plain TLS proxies to the same engine socket, for comparison: nginx and HAProxy (Debian packages), and http-proxy 1.18.

import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createServerCertificate } from '../src/auth/identity.ts';
import type { LabNode } from '../test/support/lab/node.ts';

export interface Proxies extends AsyncDisposable {
  readonly ports: Readonly<Record<'nginx' | 'HAProxy' | 'http-proxy', number>>;
}

const ports = { nginx: 9101, HAProxy: 9102, 'http-proxy': 9103 } as const;
const baseline: string = fileURLToPath(new URL('http-proxy-baseline.ts', import.meta.url));

/** Runs them in the node's namespaces, in front of its engine's socket. */
export async function startProxies(node: LabNode): Promise<Proxies> {
  const folder = await mkdtemp(join(tmpdir(), 'flotilla-bench-'));
  const { cert, key } = await createServerCertificate([node.address]);
  const files = {
    cert: join(folder, 'cert.pem'),
    key: join(folder, 'key.pem'),
    both: join(folder, 'both.pem'),
  };
  await writeFile(files.cert, cert);
  await writeFile(files.key, key);
  await writeFile(files.both, cert + key);
  const nginx = join(folder, 'nginx.conf');
  const haproxy = join(folder, 'haproxy.cfg');
  await writeFile(nginx, nginxConfig(folder, files, node.engineSocket));
  await writeFile(haproxy, haproxyConfig(files, node.engineSocket));
  const children = [
    node.spawn(['nginx', '-c', nginx, '-e', 'stderr'], { stdio: 'ignore' }),
    node.spawn(['haproxy', '-f', haproxy, '-db', '-q'], { stdio: 'ignore' }),
    node.spawn(
      [process.execPath, baseline, node.engineSocket, String(ports['http-proxy']), files.cert, files.key],
      {
        stdio: 'ignore',
      },
    ),
  ];
  return {
    ports,
    async [Symbol.asyncDispose](): Promise<void> {
      await Promise.all(children.map(end));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit', { signal: AbortSignal.timeout(5_000) });
  child.kill('SIGTERM');
  await exited;
}

function nginxConfig(folder: string, { cert, key }: { cert: string; key: string }, socket: string): string {
  return `daemon off; master_process off; pid ${folder}/nginx.pid; error_log /dev/null;
events { worker_connections 1024; }
http {
  access_log off; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  keepalive_requests 1000000000;
  upstream engine { server unix:${socket}; keepalive 64; keepalive_requests 1000000000; }
  server {
    listen ${ports.nginx} ssl; ssl_certificate ${cert}; ssl_certificate_key ${key};
    location / { proxy_pass http://engine; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }
  }
}
`;
}

function haproxyConfig({ both }: { both: string }, socket: string): string {
  return `global
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend f
  bind :${ports.HAProxy} ssl crt ${both}
  default_backend b
backend b
  server engine unix@${socket}
`;
}
