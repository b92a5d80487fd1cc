// The lab itself: real engines in a real Swarm, links that fail silently, and nothing left behind.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, describe, it } from 'mocha';

import { eventually } from '../support/eventually.ts';
import { createDns } from '../support/lab/dns.ts';
import { createLab, type Lab } from '../support/lab/lab.ts';

const labTimeoutMs = 120_000;

describe('the lab', function () {
  this.timeout(labTimeoutMs);
  let lab: Lab;

  before(async () => {
    lab = await createLab({ nodes: 3, swarm: true });
  });

  after(async () => {
    await lab[Symbol.asyncDispose]();
  });

  it('is one Swarm of engines with host names and addresses of their own', async () => {
    const listed = await lab.node(1).docker(['node', 'ls', '--format', '{{.Hostname}} {{.Status}}']);
    assert.deepEqual(listed.trim().split('\n').toSorted(), ['node-1 Ready', 'node-2 Ready', 'node-3 Ready']);
    assert.equal(new Set(lab.nodes.map((node) => node.address)).size, 3);
    const ids = await Promise.all(lab.nodes.map((node) => node.docker(['info', '--format', '{{.ID}}'])));
    assert.equal(new Set(ids).size, 3);
    for (const node of lab.nodes) {
      assert.equal((await node.run(['hostname'])).stdout.trim(), node.name);
      assert.equal((await node.docker(['info', '--format', '{{.Name}}'])).trim(), node.name);
    }
  });

  it('lets this machine reach a port that a container publishes', async () => {
    const node = lab.node(2);
    const script = 'echo hello from $(hostname) >/tmp/index.html; exec httpd -f -h /tmp';
    const id = await node.docker([
      'run',
      '-d',
      '-h',
      'box',
      '-p',
      '8080:80',
      'busybox:lab',
      'sh',
      '-c',
      script,
    ]);
    const text = await eventually(async () => (await fetch(`http://${node.address}:8080/`)).text());
    assert.equal(text, 'hello from box\n');
    await node.docker(['rm', '-f', id.trim()]);
  });

  it('carries overlay networks, with the tasks of a service in DNS', async () => {
    const manager = lab.node(1);
    await manager.docker(['network', 'create', '-d', 'overlay', '--attachable', 'net']);
    const service = ['--name', 'web', '--network', 'net', '--endpoint-mode', 'dnsrr', '--mode', 'global'];
    const script = 'hostname >/tmp/index.html; exec httpd -f -h /tmp';
    const host = ['--hostname', '{{.Node.Hostname}}', '--detach', '--no-resolve-image'];
    await manager.docker(['service', 'create', ...service, ...host, 'busybox:lab', 'sh', '-c', script]);
    const look =
      'nslookup tasks.web; for a in $(nslookup tasks.web | sed -n "s/^Address: //p"); do wget -qO- http://$a/; done';
    await eventually(
      async () => {
        const said = await manager.docker([
          'run',
          '--rm',
          '--network',
          'net',
          'busybox:lab',
          'sh',
          '-c',
          look,
        ]);
        for (const node of lab.nodes) assert.match(said, new RegExp(`^${node.name}$`, 'm'), said);
      },
      { withinMs: 20_000, everyMs: 500 },
    );
    await manager.docker(['service', 'rm', 'web']);
  });

  it('cuts a node off in silence, and reconnects it', async () => {
    const node = lab.node(3);
    // Nothing listens: a node that can be reached refuses at once.
    assert.equal(await connectOutcome(node.address, 9), 'ECONNREFUSED');
    await node.cutOff();
    try {
      assert.equal(await connectOutcome(node.address, 9), 'silence');
      const ping = await node.run(['busybox', 'ping', '-c', '3', '-w', '2', lab.node(1).address], {
        allowFailure: true,
      });
      assert.match(ping.stdout, /, 0 packets received/);
      assert.doesNotMatch(ping.stdout + ping.stderr, /not permitted|unreachable/i);
    } finally {
      await node.reconnect();
    }
    assert.equal(await connectOutcome(node.address, 9), 'ECONNREFUSED');
  });

  it('loses packets in each direction', async () => {
    const node = lab.node(2);
    const pingLoss = async (): Promise<number> => {
      const argv = ['busybox', 'ping', '-c', '400', '-i', '0.002', '-W', '1', node.address];
      const { stdout } = await lab.node(1).run(argv, { allowFailure: true });
      return Number(/(\d+)% packet loss/.exec(stdout)?.[1]);
    };
    assert.equal(await pingLoss(), 0);
    await node.losePackets(20);
    // There and back: 1 - 0.8 × 0.8 = 36 %. The standard deviation of 400 draws is 2.4 %.
    const lossPercent = await pingLoss();
    await node.losePackets(0);
    assert.ok(lossPercent > 22 && lossPercent < 50, `${lossPercent} %`);
    assert.equal(await pingLoss(), 0);
  });

  it('promotes and demotes a node', async () => {
    const role = async (): Promise<string> =>
      (await lab.node(1).docker(['node', 'inspect', '-f', '{{.Spec.Role}}', 'node-2'])).trim();
    await lab.promote(lab.node(2));
    assert.equal(await role(), 'manager');
    await lab.demote(lab.node(2));
    assert.equal(await role(), 'worker');
  });

  it('survives the death of an engine, and of a whole node', async () => {
    const node = lab.node(3);
    const isReady = async (): Promise<boolean> =>
      (await lab.node(1).docker(['node', 'inspect', '-f', '{{.Status.State}}', node.name])).trim() ===
      'ready';
    await node.docker([
      'run',
      '-d',
      '--name',
      'sleeper',
      '--stop-signal',
      'KILL',
      'busybox:lab',
      'sleep',
      '1000',
    ]);
    await node.killEngine();
    await assert.rejects(node.docker(['version']));
    await node.startEngine();
    await eventually(isReady, { withinMs: 20_000, everyMs: 200 });
    await node.docker(['start', 'sleeper']);
    await node.powerOff();
    await assert.rejects(node.run(['true']));
    await node.powerOn();
    await eventually(isReady, { withinMs: 20_000, everyMs: 200 });
    assert.equal((await node.docker(['ps', '-aq', '--filter', 'name=sleeper'])).trim() === '', false);
    await node.docker(['rm', '-f', 'sleeper']);
  });

  it('runs processes in a node under their own pid', async () => {
    const node = lab.node(1);
    const child = node.spawn(['sh', '-c', 'echo $$ $GREETING $(hostname); exec sleep 1000'], {
      env: { ...process.env, GREETING: 'hi' },
    });
    assert.ok(child.stdout);
    const [line] = await once(child.stdout, 'data');
    assert.equal(String(line).trim(), `${child.pid} hi node-1`);
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    assert.deepEqual(await exited, [null, 'SIGKILL']);
  });

  it('has a name server that can be dead for a while', async () => {
    await using dns = await createDns(lab.hostAddress);
    dns.set('tasks.agent', ['198.18.0.200', '198.18.0.201']);
    const lookup = async (): Promise<string> => {
      const { stdout } = await lab
        .node(1)
        .run(['busybox', 'nslookup', '-type=a', 'tasks.agent'], { allowFailure: true });
      return [...stdout.matchAll(/^Address: (198\.18\.0\.20\d)$/gm)].map((match) => match[1]).join(' ');
    };
    assert.equal(await lookup(), '198.18.0.200 198.18.0.201');
    const inContainer = ['run', '--rm', 'busybox:lab', 'nslookup', '-type=a', 'tasks.agent'];
    assert.match(await lab.node(2).docker(inContainer), /198\.18\.0\.201/);
    dns.die();
    const before = dns.queries;
    const dead = lab.node(1).run(['busybox', 'timeout', '2', 'busybox', 'nslookup', 'tasks.agent'], {
      allowFailure: true,
    });
    assert.notEqual((await dead).code, 0);
    assert.ok(dns.queries > before);
    dns.revive();
    assert.equal(await lookup(), '198.18.0.200 198.18.0.201');
  });
});

/** The error code of a connection attempt, or `silence` when nothing at all came back for a second. */
async function connectOutcome(host: string, port: number): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const socket = connect({ host, port, timeout: 1_000 });
  socket.on('connect', () => resolve('connected'));
  socket.on('timeout', () => resolve('silence'));
  socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  const outcome = await promise;
  socket.destroy();
  return outcome;
}
