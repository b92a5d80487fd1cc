// What the real `flotilla doctor` says of a real agent whose tunnel does not come up: the words that the network, the
// libraries and the servers have for it lead to a remedy that fits.

import { equal, match } from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { DoctorCheck, DoctorReport } from '../../src/api/doctor/report.ts';
import { type EdgeAgentUnderTest, startEdgeAgent } from '../support/edge-agents.ts';
import { startEdgeServer } from '../support/edge-server/edge-server.ts';
import { requireTunnel, startChisel } from '../support/edge-tunnel.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { flotilla } from '../support/run-cli.ts';
import { isLong } from '../support/scale.ts';
import { createTestCertificate } from '../support/test-certificate.ts';

/** For five agents at once: a start, one poll interval, and an attempt that waits for a name server. */
const foundWithin = { withinMs: 40_000, everyMs: 500 };

interface Case {
  readonly what: string;
  /** Of the Edge key; the rest is as it should be. */
  readonly tunnelAddress?: string;
  readonly fingerprint?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly seen: RegExp;
  readonly remedy: RegExp;
}

interface Ground extends AsyncDisposable {
  readonly cases: readonly Case[];
  examine(what: string): Promise<DoctorReport>;
}

const address = (port: number): string => `127.0.0.1:${port}`;

describe('doctor of an agent whose tunnel does not come up', function () {
  this.timeout(isLong ? 240_000 : 120_000);
  let ground: Ground;
  // All of them wait for the same 5 s.
  before(async () => {
    ground = await prepare();
  });
  after(() => ground?.[Symbol.asyncDispose]());

  for (const what of ['bad name', 'closed port', 'other fingerprint', 'self-signed TLS', 'proxy refuses'])
    it(`finds the remedy: ${what}`, async () => {
      const { seen, remedy } = ground.cases.find((each) => each.what === what) ?? {
        seen: /$^/,
        remedy: /$^/,
      };
      const check = await eventually(async () => {
        const found = tunnelOf(await ground.examine(what));
        match(found.seen, /^not open after \d+ attempts: /);
        return found;
      }, foundWithin);
      equal(check.level, 'problem');
      match(check.seen, seen);
      match(check.remedy ?? '', remedy);
    });
});

async function prepare(): Promise<Ground> {
  await using stack = new AsyncDisposableStack();
  const chisel = stack.use(await startChisel());
  const tls = stack.use(await listening(createTlsServer(createTestCertificate('127.0.0.1'))));
  const proxy = stack.use(await listening(refusingProxy()));
  const cases: readonly Case[] = [
    {
      what: 'bad name',
      tunnelAddress: 'tunnel.invalid:8000',
      seen: /tunnel\.invalid/,
      remedy: /^its name is not known here: check the DNS/,
    },
    {
      what: 'closed port',
      tunnelAddress: address(await freePort()),
      seen: /ECONNREFUSED/,
      remedy: /^nothing listens there/,
    },
    {
      what: 'other fingerprint',
      fingerprint: 'wY9EIpAyb48SmO6YbjtgvR++gVm2HhFLLUSSKXBsoV8=',
      seen: /fingerprint/,
      remedy: /^another server answers at the tunnel address/,
    },
    {
      what: 'self-signed TLS',
      tunnelAddress: `https://${address(tls.port)}`,
      seen: /self-signed certificate/,
      remedy: /\bTLS\b/,
    },
    {
      what: 'proxy refuses',
      env: { HTTPS_PROXY: `http://${address(proxy.port)}` },
      seen: /\b407\b/,
      remedy: /^check HTTPS_PROXY/,
    },
  ];
  const agents = new Map<string, EdgeAgentUnderTest>();
  const start = async ({ what, tunnelAddress, fingerprint, env }: Case): Promise<void> => {
    const server = stack.use(
      await startEdgeServer({
        tunnelAddress: tunnelAddress ?? address(chisel.port),
        fingerprint: fingerprint ?? chisel.fingerprint,
      }),
    );
    requireTunnel(server, chisel, await freePort());
    agents.set(what, stack.use(await startEdgeAgent({ env: { ...env, EDGE_KEY: server.key() } })));
  };
  await Promise.all(cases.map(start));
  const disposal = stack.move();
  return {
    cases,
    async examine(what): Promise<DoctorReport> {
      const path = agents.get(what)?.agent.controlSocket ?? '';
      const { code, out } = await flotilla(['doctor', '--json', '--control-socket', path]);
      const report = JSON.parse(out) as DoctorReport;
      equal(code, report.problems > 0 ? 1 : 0);
      return report;
    },
    [Symbol.asyncDispose]: () => disposal.disposeAsync(),
  };
}

function tunnelOf({ checks }: DoctorReport): DoctorCheck {
  const found = checks.find(({ check }) => check === 'tunnel');
  if (found === undefined) throw new Error('nothing is said of the tunnel');
  return found;
}

/** Wants a password that nobody gave it. */
function refusingProxy(): Server {
  const proxy = createHttpServer();
  proxy.on('connect', (_request, socket: Socket) =>
    socket.end('HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n'),
  );
  return proxy;
}

async function listening(server: Server): Promise<AsyncDisposable & { readonly port: number }> {
  server.on('connection', (socket: Socket) => socket.on('error', () => undefined));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    port,
    async [Symbol.asyncDispose](): Promise<void> {
      server.close();
      await once(server, 'close');
    },
  };
}
