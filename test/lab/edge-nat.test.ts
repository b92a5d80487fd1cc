// Edge mode as it is meant: the agent is on a node behind NAT that nobody reaches from outside, and all that a Portainer and
// unmodified docker CLIs do there comes back through the tunnel that the agent opened. Chaos is between the two.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensurePackages, tunnelPackages } from '../../scripts/debian-packages.ts';
import { uploadForm } from '../conformance/suite/upload-form.ts';
import { type AgentLab, createAgentLab, printLogsOnFailure, report } from '../support/agent-lab.ts';
import { openConsole } from '../support/console-client.ts';
import { createDockerCli, type DockerCli, findDockerClis, writeCliConfig } from '../support/docker-cli.ts';
import { apiPort, type EdgeSite, startEdgeSite } from '../support/edge-nat.ts';
import { eventually } from '../support/eventually.ts';
import { busyboxImage } from '../support/lab/images.ts';
import type { RawAnswer, RawRequest } from '../support/raw-http.ts';
import { scaled } from '../support/scale.ts';
import { dial, type TunnelServer } from '../support/tunnel-bed.ts';
import { type TunnelledCli, tunnelCliCases } from '../support/tunnel-cli-cases.ts';
import { startChiselTunnelServer, startSshTunnelServer } from '../support/tunnel-servers.ts';

const ui = '/v1.41';
const intervalMs = 5_000;
/** Two intervals, and what a busy machine takes. */
const worksAgainWithinMs = 2 * intervalMs + 2_000;
const noticedWithinMs = 40_000;
/** All of them are held to a tunnel in edge-tunnel-cli.test.ts too. */
const clis = findDockerClis().slice(0, scaled(1, 2));
const cliTimeoutMs = scaled(30_000, 120_000);

/** With whether the end of what is sent passes by itself. */
const servers: readonly (readonly [string, boolean, (host: string) => Promise<TunnelServer>])[] = [
  ['chisel', false, startChiselTunnelServer],
  ['OpenSSH', true, (host) => startSshTunnelServer('ed25519', [`ListenAddress ${host}`])],
];

describe('an Edge agent behind NAT', function () {
  this.timeout(scaled(90_000, 300_000));
  let agents: AgentLab;
  let scratch: string;

  before(async () => {
    ensurePackages(tunnelPackages);
    scratch = mkdtempSync(join(tmpdir(), 'flotilla-nat-'));
    agents = await createAgentLab({ nodes: 1, swarm: false, behindNat: true });
    const script = 'echo out; exec sleep 100000';
    const volume = ['-v', 'box-data:/v'];
    await agents.node(1).docker(['run', '-d', '--name', 'box', ...volume, busyboxImage, 'sh', '-c', script]);
  });

  after(async () => {
    if (scratch !== undefined) rmSync(scratch, { recursive: true, force: true });
    await agents?.[Symbol.asyncDispose]();
  });

  printLogsOnFailure(() => agents);

  for (const [name, halfCloses, startServer] of servers) {
    describe(`with a tunnel to ${name}`, () => {
      let site: EdgeSite;

      before(async () => {
        site = await startEdgeSite(agents, startServer);
      });

      after(async () => {
        await site?.[Symbol.asyncDispose]();
      });

      const signed = (request: RawRequest): Promise<RawAnswer> =>
        site.request({ ...request, headers: { ...agents.signer.headers(), ...request.headers } });
      const worksAgain = async (what: string): Promise<void> => {
        const sinceMs = performance.now();
        await eventually(async () => assert.equal((await signed({ path: '/info' })).status, 200), {
          withinMs: noticedWithinMs,
          everyMs: 100,
        });
        const tookMs = performance.now() - sinceMs;
        report(`${name} worked ${Math.round(tookMs)} ms after ${what}`);
        assert.ok(tookMs < worksAgainWithinMs, `${tookMs} ms`);
      };
      const says = (pattern: RegExp): Promise<string> =>
        eventually(
          async () => {
            const reason = await site.reason();
            assert.match(reason, pattern);
            return reason;
          },
          { withinMs: noticedWithinMs, everyMs: 500 },
        );

      it('has no inbound route, and polls in the name of the router', async () => {
        const { address } = agents.node(1);
        await assert.rejects(dial(apiPort, address), { code: 'EHOSTUNREACH' });
        assert.deepEqual(
          [...new Set(site.portainer.polls().map(({ from }) => from))],
          [address.replace(/\d+$/, '254')],
        );
      });

      it('E7 answers 403 to what is unsigned through the tunnel, and serves what is signed', async () => {
        assert.equal((await site.request({ path: '/containers/json' })).status, 403);
        const { status, headers } = await signed({ path: '/containers/json' });
        assert.equal(status, 200);
        assert.equal(headers.get('portainer-agent-platform'), '1');
      });

      it('E12 answers 100 requests at once through one tunnel, and outlives clients that leave', async () => {
        const logins = site.tunnel.logins();
        const answers = await Promise.all(
          Array.from({ length: 100 }, () => signed({ path: '/containers/json' })),
        );
        assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
        const head = `GET /events HTTP/1.1\r\nHost: agent\r\n${toLines(agents.signer.headers())}\r\n`;
        for (let left = 0; left < 50; left += 1) {
          const socket = connect({ port: site.port, host: '127.0.0.1' }).on('error', () => undefined);
          await once(socket, 'connect');
          // Half of them before the agent can have opened its end.
          if (left % 2 === 0) socket.write(head, () => socket.destroy());
          else socket.destroy();
        }
        assert.equal((await signed({ path: '/info' })).status, 200);
        await eventually(() => assert.equal(site.connections(), 0), { withinMs: 10_000 });
        assert.equal(site.tunnel.logins(), logins, 'the same connection all the time');
      });

      it('E13 is added, gives its snapshot and its lists, a console, and the files of a volume', async () => {
        const ping = await site.request({ path: '/ping' });
        assert.equal(ping.status, 204);
        assert.match(ping.headers.get('portainer-agent') ?? '', /^\d+\.\d+\.\d+$/);
        assert.equal((await signed({ method: 'HEAD', path: '/_ping' })).status, 200);
        const snapshot = ['info', 'version', 'containers/json?all=1', 'images/json', 'volumes', 'networks'];
        for (const path of snapshot) assert.equal((await signed({ path: `/v1.45/${path}` })).status, 200);
        const [box] = jsonOf(await signed({ path: `${ui}/containers/json` })) as readonly {
          readonly Id: string;
          readonly Names: readonly string[];
        }[];
        assert.deepEqual(box?.Names, ['/box']);
        await consoleWorks(box.Id);
        await volumeIsBrowsed();
      });

      for (const cli of clis) {
        describe(`docker CLI ${cli.version}`, () => {
          let docker: DockerCli;
          let folder: string;

          before(() => {
            folder = join(scratch, `${name}-${cli.version}`);
            writeCliConfig(folder, { headers: agents.signer.headers() });
            const host = `tcp://127.0.0.1:${site.port}`;
            docker = createDockerCli({ binary: cli.path, host, configDir: folder, timeoutMs: cliTimeoutMs });
          });

          const cases = (): TunnelledCli => ({
            docker,
            engine: agents.node(1).docker,
            folder,
            connections: site.connections,
            watchMemory: site.watchMemory,
          });
          tunnelCliCases(cases, { halfCloses });
        });
      }

      it('E5 works again within two intervals after Portainer and its tunnel server were restarted', async () => {
        await says(/tunnel open$/);
        await site.portainer.down();
        await site.tunnel.stop();
        report(await says(/ECONNREFUSED|refused/));
        await site.tunnel.start();
        await site.portainer.up();
        await worksAgain('the restart');
        await says(/tunnel open$/);
      });

      it('E5 notices that nothing comes through any more, and works again within two intervals once it does', async () => {
        const node = agents.node(1);
        await node.cutOff();
        try {
          report(await says(/^(?:poll failed|tunnel not open): /));
          await eventually(() => assert.match(site.agent.log(), /silent for \d+ s/), {
            withinMs: noticedWithinMs,
            everyMs: 100,
          });
        } finally {
          await node.reconnect();
        }
        await worksAgain('the black hole');
        await says(/tunnel open$/);
        await assert.rejects(dial(apiPort, node.address), { code: 'EHOSTUNREACH' });
      });

      it('E3 closes the tunnel at IDLE, and its port answers within one interval when it is required again', async () => {
        const { port } = site;
        site.portainer.say({ status: 'IDLE' });
        await says(/tunnel closed$/);
        await assert.rejects(dial(port), { code: 'ECONNREFUSED' });
        site.portainer.say({ status: 'REQUIRED' });
        await worksAgain('it was required');
      });

      async function consoleWorks(id: string): Promise<void> {
        const made = await signed({
          method: 'POST',
          path: `${ui}/containers/${id}/exec`,
          headers: { 'Content-Type': 'application/json' },
          body: JSON.stringify({
            Cmd: ['sh'],
            Tty: true,
            AttachStdin: true,
            AttachStdout: true,
            AttachStderr: true,
          }),
        });
        const exec = (jsonOf(made) as { readonly Id: string }).Id;
        await using console_ = await openConsole({
          host: '127.0.0.1',
          port: site.port,
          plain: true,
          path: `/websocket/exec?endpointId=1&id=${exec}`,
          signer: agents.signer,
        });
        await console_.send('echo $((6*7))-done; exit\n');
        await console_.until('42-done');
        assert.equal(await console_.closed(), 1000);
      }

      async function volumeIsBrowsed(): Promise<void> {
        const browse = (action: string, path?: string): string =>
          `${ui}/v2/browse/${action}?${new URLSearchParams({ volumeID: 'box-data', ...(path !== undefined && { path }) })}`;
        const form = uploadForm({ folder: '/', name: 'note.txt', bytes: Buffer.from(`from ${name}`) });
        assert.equal((await signed({ method: 'POST', path: browse('put'), ...form })).status, 204);
        const listed = jsonOf(await signed({ path: browse('ls', '/') })) as readonly {
          readonly Name: string;
        }[];
        assert.deepEqual(
          listed.map(({ Name }) => Name),
          ['note.txt'],
        );
        const got = await signed({ path: browse('get', '/note.txt') });
        assert.equal(got.body.toString(), `from ${name}`);
        const removed = await signed({ method: 'DELETE', path: browse('delete', '/note.txt') });
        assert.equal(removed.status, 204);
      }
    });
  }
});

function jsonOf({ body }: RawAnswer): unknown {
  return JSON.parse(body.toString());
}

function toLines(headers: Readonly<Record<string, string>>): string {
  return Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('');
}
