// `flotilla nodes`, `doctor` and `context` on a real Swarm: what they say of three nodes that are well, and of each thing
// that goes wrong between them.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'mocha';

import type { DoctorCheck, DoctorReport } from '../../src/api/doctor/report.ts';
import type { NodesReport } from '../../src/api/nodes.ts';
import {
  type AgentLab,
  createAgentLab,
  labGossipPort,
  printLogsOnFailure,
  report,
} from '../support/agent-lab.ts';
import { findDockerClis } from '../support/docker-cli.ts';
import { eventually } from '../support/eventually.ts';
import type { CommandResult } from '../support/lab/command.ts';
import type { LabNode } from '../support/lab/node.ts';
import { program } from '../support/run-cli.ts';

const testTimeoutMs = 180_000;
const wholeWithinMs = 30_000;
const noticedWithinMs = 40_000;
/** Each look is a process of its own. */
const looked = { withinMs: 30_000, everyMs: 500 };
const peerPort = 9002;

describe('the command line for people', function () {
  this.timeout(testTimeoutMs);
  let agents: AgentLab;
  let one: LabNode;
  let two: LabNode;
  let three: LabNode;

  before(async () => {
    agents = await createAgentLab({ nodes: 3, swarm: true });
    [one, two, three] = [agents.node(1), agents.node(2), agents.node(3)];
    agents.startAll();
    await agents.whole(wholeWithinMs);
  });

  after(async () => {
    await agents?.[Symbol.asyncDispose]();
  });

  printLogsOnFailure(() => agents);

  describe('where all is well', () => {
    it('lists three members in columns, from each of them', async () => {
      for (const node of agents.nodes) {
        // One that has just come is measured by the first probe.
        await eventually(async () => {
          const { nodes, cluster } = JSON.parse(
            (await flotilla(node, 'nodes', '--json')).stdout,
          ) as NodesReport;
          assert.equal(cluster, 'joined');
          assert.deepEqual(
            nodes.map(({ name, state, role, leader, self, fault }) => [
              name,
              state,
              role,
              leader,
              self,
              fault,
            ]),
            agents.nodes.map(({ name }, index) => [
              name,
              'alive',
              index === 0 ? 'manager' : 'worker',
              index === 0,
              name === node.name,
              null,
            ]),
          );
          for (const { rttMs, self, engineVersion, agentVersion } of nodes) {
            assert.ok(self ? rttMs === null : rttMs !== null && rttMs > 0 && rttMs < 1_000, String(rttMs));
            assert.match(`${engineVersion} ${agentVersion}`, /^\d+\.\d+\S* \d+\.\d+/);
          }
        }, looked);
      }
      const { stdout } = await flotilla(two, 'nodes');
      assert.match(stdout, /^NAME +STATE +ROLE +ENGINE +API +AGENT +RTT +LAST SEEN\n/);
      assert.match(stdout, /^node-1 +alive +leader .* ms +now$/m);
      assert.match(stdout, /^node-2 \* +alive +worker /m);
      process.stdout.write(stdout);
    });

    it('finds nothing wrong from any node, having looked at everything', async () => {
      for (const node of agents.nodes) {
        // An answer that the machine held up for a second is none to a doctor.
        const stdout = await eventually(async () => {
          const found = await flotilla(node, 'doctor');
          assert.equal(found.code, 0, found.stdout);
          return found.stdout;
        }, looked);
        assert.match(stdout, /: nothing is wrong$/m);
        for (const check of [
          'engine',
          'sockets',
          'advertise',
          'discovery',
          'clock',
          'mtu',
          'versions',
          'swarm',
        ])
          assert.match(stdout, new RegExp(`^ok +${check} `, 'm'));
      }
      process.stdout.write((await flotilla(one, 'doctor')).stdout);
    });
  });

  describe('where something is wrong with node-3', () => {
    afterEach(async () => {
      for (const node of agents.nodes) await node.run(['iptables', '-F', 'INPUT']);
      await agents.agent(three).kill();
      agents.start(three);
      await agents.whole(wholeWithinMs);
    });

    const noticed = async (
      check: DoctorCheck['check'],
      seen: RegExp,
      level: DoctorCheck['level'] = 'problem',
    ): Promise<void> => {
      const found = await eventually(() => lookFor(one, { check, level, subject: 'node-3', seen }), {
        withinMs: noticedWithinMs,
        everyMs: 1_500,
      });
      report(`${found.seen}\n        -> ${found.remedy}`);
      assert.equal((await flotilla(one, 'doctor', 'node-3')).code, level === 'problem' ? 1 : 0);
    };

    const restart = async (env: Readonly<Record<string, string>>): Promise<void> => {
      await agents.agent(three).kill();
      agents.start(three, env);
    };

    it('says that its secret is another one', async () => {
      await restart({ FLOTILLA_CLUSTER_SECRET: 'another' });
      await noticed('secret', /its cluster secret is not the one of this agent/);
    });

    it('says that it has no secret', async () => {
      await restart({ FLOTILLA_CLUSTER_SECRET: '' });
      await noticed('secret', /its cluster secret is not the one of this agent/);
    });

    it('says that its gossip port is dropped, or rejected', async () => {
      await block(three, labGossipPort, 'DROP');
      await noticed('port', /7947 \(gossip\): no answer within 1000 ms/);
      await three.run(['iptables', '-F', 'INPUT']);
      await block(three, labGossipPort, 'REJECT', '--reject-with', 'tcp-reset');
      await noticed('port', /7947 \(gossip\): connection refused/);
    });

    it('says that its port for requests is dropped', async () => {
      await block(three, peerPort, 'DROP');
      await noticed('port', /9002 \(requests between agents\): no answer/);
    });

    it('says that large packets to it are lost', async () => {
      // As behind a link of MTU 1,400 whose router may not say so. The first packet of a TLS handshake is larger already.
      const match = ['-p', 'tcp', '--dport', `${peerPort}`, '-m', 'length', '--length', '1401:65535'];
      await three.run(['iptables', '-I', 'INPUT', ...match, '-j', 'DROP']);
      await noticed('mtu', /small packets come through, and those of a TLS handshake.*smaller MTU/);
    });

    it('says that its clock is ahead', async () => {
      const ahead = 'data:text/javascript,const%20now=Date.now;Date.now=()=>now()%2B90000';
      await restart({ NODE_OPTIONS: `--import=${ahead}` });
      await noticed('clock', /its clock is (89|90|91)\.\d s ahead/);
    });

    it('says that its agent was killed, hangs, or left', async () => {
      await agents.agent(three).kill();
      await noticed('port', /connection refused: the host answers, but no agent listens/);
      await eventually(async () => {
        const { nodes } = JSON.parse((await flotilla(one, 'nodes', '--json')).stdout) as NodesReport;
        assert.deepEqual(
          nodes.map(({ name, state }) => `${name} ${state}`),
          ['node-1 alive', 'node-2 alive', 'node-3 missing'],
        );
      }, looked);
      agents.start(three);
      await agents.whole(wholeWithinMs);
      agents.agent(three).signal('SIGSTOP');
      await noticed('port', /accept connections, but nothing is said/);
      agents.agent(three).signal('SIGCONT');
      await agents.whole(wholeWithinMs);
      await agents.agent(three).stop();
      await noticed('port', /connection refused/);
    });

    it('says that the Swarm has it, but that it never had an agent', async () => {
      await agents.killAll();
      const seeds = `${one.address}:${labGossipPort},${two.address}:${labGossipPort}`;
      for (const node of [one, two]) agents.start(node, { FLOTILLA_SEEDS: seeds });
      await agents.whole(wholeWithinMs, [one, two]);
      await noticed('swarm', /the Swarm has this node \(ready\), but no agent there was ever heard/);
      const { stdout } = await flotilla(one, 'nodes');
      assert.match(stdout, /^node-3 +no-agent .* never$/m);
    });

    it('says on node-3 itself what can be seen without its agent', async () => {
      await agents.agent(three).stop();
      const nodes = await flotilla(three, 'nodes');
      assert.deepEqual([nodes.code, nodes.stdout], [1, '']);
      assert.match(nodes.stderr, /no agent answers on \/run\/flotilla\/control\.sock/);
      const { code, stdout } = await flotilla(three, 'doctor');
      assert.equal(code, 1);
      assert.match(stdout, /^PROBLEM +agent +looked at \/run\/flotilla\/control\.sock/m);
      assert.match(stdout, /^ok +engine +\S+ answers at \/var\/run\/docker\.sock$/m);
    });
  });

  for (const cli of findDockerClis()) {
    describe(`contexts of docker ${cli.version}`, () => {
      let config: string;
      before(() => {
        config = mkdtempSync(join(tmpdir(), 'contexts-'));
      });
      after(() => rmSync(config, { recursive: true, force: true }));

      const context = (...argv: readonly string[]): Promise<CommandResult> =>
        two.run([process.execPath, program, 'context', ...argv, '--docker', cli.path], {
          env: { PATH: process.env.PATH, DOCKER_CONFIG: config },
          allowFailure: true,
        });
      const docker = async (...argv: readonly string[]): Promise<string> =>
        (
          await two.run([cli.path, ...argv], { env: { PATH: process.env.PATH, DOCKER_CONFIG: config } })
        ).stdout.trim();

      it('lead to the cluster and to each node, are made once, and go', async () => {
        const made = await context('create');
        assert.equal(made.code, 0, made.stderr);
        assert.equal((made.stdout.match(/: created$/gm) ?? []).length, 4);
        for (const { name } of agents.nodes)
          assert.equal(await docker('--context', `flotilla-${name}`, 'info', '--format', '{{.Name}}'), name);
        assert.match(
          await docker('--context', 'flotilla', 'version', '--format', '{{.Server.Version}}'),
          /^\d/,
        );
        assert.equal(((await context('create')).stdout.match(/: unchanged$/gm) ?? []).length, 4);
        assert.match((await context('list')).stdout, /^flotilla-node-3 +unix:\/\/\S+node-3\.sock +made$/m);

        await docker('context', 'create', 'mine', '--docker', 'host=unix:///x.sock');
        const taken = await context('create', '--prefix', 'mine', '--node', 'node-1');
        assert.equal(taken.code, 1);
        assert.match(taken.stdout, /^mine: not made: another context/m);
        await docker('context', 'use', 'flotilla');
        assert.equal((await context('rm')).code, 1);
        await docker('context', 'use', 'default');
        assert.equal((await context('rm')).code, 0);
        assert.equal((await context('rm', '--prefix', 'mine')).code, 0);
        assert.deepEqual((await docker('context', 'ls', '--quiet')).split('\n').toSorted(), [
          'default',
          'mine',
        ]);
      });

      it('over SSH are made where the CLI takes a path, else refused with another way', async () => {
        const { code, stderr } = await context(
          'create',
          '--host',
          'ssh://me@far',
          '--node',
          'node-1',
          '--prefix',
          'far',
        );
        if (Number.parseInt(cli.version, 10) < 24) {
          assert.equal(code, 1);
          assert.match(stderr, /refuses a path behind the host of ssh:\/\/; 24\.0 is the first/);
          return;
        }
        assert.equal(code, 0, stderr);
        const host = '{{.Endpoints.docker.Host}}';
        assert.equal(
          await docker('context', 'inspect', 'far-node-1', '--format', host),
          'ssh://me@far/run/flotilla/nodes/node-1.sock',
        );
      });
    });
  }
});

interface Finding {
  readonly check: DoctorCheck['check'];
  readonly level: DoctorCheck['level'];
  readonly subject: string;
  readonly seen: RegExp;
}

async function lookFor(node: LabNode, wanted: Finding): Promise<DoctorCheck> {
  const { stdout } = await flotilla(node, 'doctor', '--json');
  const { checks } = JSON.parse(stdout) as DoctorReport;
  const found = checks.find(
    ({ check, level, subject, seen }) =>
      check === wanted.check &&
      level === wanted.level &&
      subject === wanted.subject &&
      wanted.seen.test(seen),
  );
  const wrong = checks.filter(({ level }) => level !== 'ok');
  assert.ok(found !== undefined, JSON.stringify(wrong, null, 1));
  return found;
}

function flotilla(node: LabNode, ...argv: readonly string[]): Promise<CommandResult> {
  return node.run([process.execPath, program, ...argv], { allowFailure: true });
}

async function block(node: LabNode, port: number, ...how: readonly string[]): Promise<void> {
  await node.run(['iptables', '-I', 'INPUT', '-p', 'tcp', '--dport', `${port}`, '-j', ...how]);
}
