// The baseline of the Node world: http-proxy 1.18 behind node:https, to one unix socket. Run by bench/proxies.ts.

import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import httpProxy from 'http-proxy';

const [socketPath = '', port = '', certFile = '', keyFile = ''] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true, maxSockets: 256 });
// http-proxy hands the target to http.request as it is; its typings know only network targets.
const target = { socketPath } as unknown as { host: string; port: number };
const proxy = httpProxy.createProxyServer({ target, agent });
proxy.on('error', (_error, _req, res) => res.destroy());
https
  .createServer({ cert: readFileSync(certFile), key: readFileSync(keyFile) }, (req, res) =>
    proxy.web(req, res),
  )
  .listen(Number(port));
