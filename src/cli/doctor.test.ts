// `flotilla doctor` as text and exit code, and what it finds without an agent: on real sockets and ports of this machine.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startFakeEngine } from '../../test/support/fake-engine.ts';
import { flotilla, withControlSocket } from '../../test/support/run-cli.ts';
import { type DoctorReport, ok, problem, toReport, warning } from '../api/doctor/report.ts';
import { doctorText, selectChecks } from './doctor.ts';
import { splitEndpoint, toContainerChecks } from './doctor-alone.ts';

const about = { node: 'node-1', members: ['node-1', 'node-2'], atMs: 0 };
const report = toReport(about, [
  ok('engine', '20.10.24 at /var/run/docker.sock'),
  warning('clock', 'node-2', 'its clock is 5.0 s behind', 'let it take its time from NTP'),
  problem('port', 'node-3', '10.0.0.3:7946: connection refused', 'start the agent on node-3'),
]);

describe('flotilla doctor', () => {
  it('says what was seen and, below it, what to do', () => {
    assert.equal(
      doctorText(report),
      `ok       engine     20.10.24 at /var/run/docker.sock
WARNING  clock      node-2: its clock is 5.0 s behind
                    -> let it take its time from NTP
PROBLEM  port       node-3: 10.0.0.3:7946: connection refused
                    -> start the agent on node-3
seen from node-1: 1 problem, 1 warning
`,
    );
    assert.match(doctorText(toReport(about, [])), /seen from node-1: nothing is wrong/);
  });

  it('tells what is about the nodes that were named, and refuses a name that nobody has', () => {
    const { checks, problems } = selectChecks(report, ['node-3']);
    assert.deepEqual([checks.length, problems], [1, 1]);
    assert.equal(selectChecks(report, ['node-1']).checks.length, 0);
    assert.throws(() => selectChecks(report, ['nodex']), /nodex/);
    const alone: DoctorReport = { ...report, node: null };
    assert.equal(selectChecks(alone, ['nodex']), alone);
  });

  it('ends with 0 unless there is a problem', async () => {
    const well = toReport(about, report.checks.slice(0, 2));
    for (const [value, expected] of [
      [report, 1],
      [well, 0],
    ] as const) {
      await withControlSocket({ 'GET /doctor': [200, value] }, async (path) => {
        const { code, out } = await flotilla(['doctor', '--json', '--control-socket', path]);
        assert.equal(code, expected);
        assert.deepEqual(JSON.parse(out), value);
      });
    }
  });

  it('looks at the engine, the containers and the named addresses when no agent answers', async () => {
    await using engine = await startFakeEngine({ name: 'node1' });
    const listening = createServer().listen(0, '127.0.0.1');
    await once(listening, 'listening');
    const { port } = listening.address() as AddressInfo;
    try {
      const { code, out } = await flotilla(['doctor', '--control-socket', '/nowhere/control.sock'], {
        FLOTILLA_DOCKER_SOCKET: engine.socketPath,
        FLOTILLA_SEEDS: `127.0.0.1:${port},127.0.0.1:1`,
      });
      assert.equal(code, 1);
      assert.match(out, /^PROBLEM {2}agent +looked at \/nowhere\/control\.sock: there is no such socket/m);
      assert.match(out, /docker exec <agent container> flotilla doctor/);
      assert.match(out, /^ok +engine +\S+ answers at /m);
      assert.match(out, /^WARNING {2}agent +no container of this engine is an agent/m);
      assert.match(out, new RegExp(`^ok +port +127\\.0\\.0\\.1:${port}: accepts connections`, 'm'));
      assert.match(out, /^PROBLEM {2}port +127\.0\.0\.1:1: .*connection refused/m);
      assert.match(out, /^this node: \d+ problems/m);
    } finally {
      listening.close();
    }
  });

  it('tells a killed agent from one that fails, and an engine that is gone', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'doctor-'));
    try {
      const env = { FLOTILLA_DOCKER_SOCKET: join(folder, 'no.sock') };
      await withControlSocket({ 'GET /doctor': [500, { error: 'disk full' }] }, async (path) => {
        const { code, out } = await flotilla(['doctor', '--control-socket', path], env);
        assert.equal(code, 1);
        assert.match(out, /agent +looked at .*the agent answered 500: disk full/);
        assert.match(out, /^PROBLEM {2}engine +no answer at .*no\.sock/m);
      });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('finds the containers that are agents', () => {
    const checks = toContainerChecks([
      { Names: ['/web'], Image: 'nginx', Command: 'nginx', State: 'running' },
      { Names: ['/agent.1'], Image: 'ghcr.io/x/flotilla:1', State: 'running', Status: 'Up 2 minutes' },
      { Names: ['/old'], Command: 'flotilla agent', State: 'exited', Status: 'Exited (1) 3 minutes ago' },
      {},
    ]);
    assert.deepEqual(
      checks.map(({ level, seen, remedy }) => [level, seen, remedy]),
      [
        ['warning', 'container agent.1: Up 2 minutes', 'ask there: docker exec agent.1 flotilla doctor'],
        ['problem', 'container old: Exited (1) 3 minutes ago', 'its last words: docker logs --tail 50 old'],
      ],
    );
  });

  it('reads seeds with and without a port', () => {
    assert.deepEqual(splitEndpoint('host', 7946), { host: 'host', port: 7946 });
    assert.deepEqual(splitEndpoint('host:1', 7946), { host: 'host', port: 1 });
    assert.deepEqual(splitEndpoint('[fd00::1]:2', 7946), { host: 'fd00::1', port: 2 });
    assert.deepEqual(splitEndpoint('fd00::1', 7946), { host: 'fd00::1', port: 7946 });
  });
});
