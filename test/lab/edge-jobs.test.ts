// Edge jobs and Edge stacks (checklist E9-E11) with real agents on real engines, a standalone one and a Swarm's, deployed by
// the docker CLI and docker-compose as Debian has them.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'mocha';

import { testEdgeId } from '../support/edge-agents.ts';
import { type EdgeServer, startEdgeServer } from '../support/edge-server/edge-server.ts';
import { eventually } from '../support/eventually.ts';
import { busyboxImage } from '../support/lab/images.ts';
import { createLab, type Lab } from '../support/lab/lab.ts';
import type { LabNode } from '../support/lab/node.ts';
import { type SpawnedAgent, spawnAgent } from '../support/spawn-agent.ts';

const testTimeoutMs = 120_000;
const wait = { withinMs: 60_000, everyMs: 200 };

function stackOf(name: string, command: string): unknown {
  const text = `version: '3.8'
services:
  web:
    image: ${busyboxImage}
    command: ['sh', '-c', '${command}']
    environment:
      EDGE: \${PORTAINER_EDGE_ID}
      TAG: \${TAG}
      SECRET: got\${EDGE_KEY:-nothing}
    env_file: vars/web.env
`;
  const file = (path: string, content: string): unknown => ({
    Name: path,
    Content: Buffer.from(content).toString('base64'),
    IsFile: true,
    Permissions: 420,
  });
  return {
    ID: 0,
    Name: name,
    DirEntries: [
      file('docker-compose.yml', text),
      { Name: 'vars', Content: '', IsFile: false, Permissions: 493 },
      file('vars/web.env', 'FROM_FILE=yes\n'),
    ],
    EntryFileName: 'docker-compose.yml',
    EnvVars: [{ name: 'TAG', value: 'seven' }],
  };
}

const forever = 'trap exit TERM; while :; do sleep 1; done';

describe('Edge jobs and stacks', function () {
  this.timeout(testTimeoutMs);

  for (const swarm of [false, true])
    describe(swarm ? 'on a Swarm' : 'on a standalone engine', () => {
      let lab: Lab;
      let node: LabNode;
      let server: EdgeServer;
      let agent: SpawnedAgent;
      let host: string;
      let dataPath: string;

      const start = async (): Promise<void> => {
        agent = await spawnAgent({
          engineSocket: node.engineSocket,
          dataPath,
          env: {
            EDGE: '1',
            EDGE_ID: testEdgeId,
            EDGE_KEY: server.key(),
            EDGE_SERVER_HOST: '127.0.0.1',
            EDGE_SERVER_PORT: '0',
            FLOTILLA_HOST_ROOT: host,
          },
        });
      };
      const statuses = (id: number): readonly unknown[] =>
        server.stackStatuses.filter(({ stackId }) => stackId === id).map(({ body }) => body.Status);
      const reported = (id: number, expected: readonly number[]): Promise<void> =>
        eventually(
          () => assert.deepEqual(statuses(id), expected, JSON.stringify(server.stackStatuses)),
          wait,
        );
      const fetches = (): number =>
        server.requests().filter(({ path }) => path.includes('/edge/stacks/')).length;
      const containers = async (): Promise<readonly string[]> =>
        (await node.docker(['ps', '--quiet', '--no-trunc'])).trim().split('\n').filter(Boolean);
      const polls = async (count: number): Promise<void> => {
        const from = server.polls().length;
        await eventually(() => server.polls().length >= from + count, wait);
      };

      before(async () => {
        lab = await createLab({ nodes: 1, swarm });
        node = lab.node(1);
        server = await startEdgeServer();
        server.say({ checkin: 1 });
        host = await mkdtemp(join(tmpdir(), 'flotilla-host-'));
        dataPath = await mkdtemp(join(tmpdir(), 'flotilla-data-'));
        await start();
      });

      after(async () => {
        await agent?.stop();
        await server?.[Symbol.asyncDispose]();
        await lab?.[Symbol.asyncDispose]();
        for (const folder of [host, dataPath])
          if (folder !== undefined) await rm(folder, { recursive: true });
      });

      afterEach(function () {
        if (this.currentTest?.state === 'failed') agent?.printLog();
      });

      it('E9: creates, changes and removes a job, and collects its log', async () => {
        const job = (id: number, text: string, changes = {}): unknown => ({
          Id: id,
          CronExpression: '0 2 * * *',
          Script: Buffer.from(text).toString('base64').replaceAll('=', ''),
          Version: 1,
          CollectLogs: false,
          ...changes,
        });
        const file = (path: string): Promise<string> => readFile(join(host, path), 'utf8');
        server.say({ schedules: [job(2, 'echo 1\n'), job(3, 'echo 3\n')] });
        await eventually(
          async () => assert.match(await file('etc/cron.d/portainer_agent'), /schedule_3 /),
          wait,
        );
        server.say({ schedules: [job(2, 'echo 2\n', { Version: 2 })] });
        await eventually(
          async () => assert.doesNotMatch(await file('etc/cron.d/portainer_agent'), /schedule_3 /),
          wait,
        );
        assert.equal(await file('opt/portainer/scripts/schedule_2'), 'echo 2\n');
        await writeFile(join(host, 'opt/portainer/scripts/schedule_2.log'), '2\n');
        server.say({ schedules: [job(2, 'echo 2\n', { Version: 2, CollectLogs: true })] });
        await eventually(() => assert.equal(server.jobLogs.get(2), '2\n'), wait);
        server.say({ schedules: [] });
        await eventually(() => assert.rejects(file('etc/cron.d/portainer_agent'), { code: 'ENOENT' }), wait);
      });

      it('E10: deploys a stack with its files and variables', async () => {
        server.stackFiles.set(1, stackOf('web', forever));
        server.say({ stacks: [{ ID: 1, Version: 1 }] });
        await reported(1, [3, 8, 1, 7]);
        const [id = ''] = await containers();
        const env = await node.docker(['inspect', '--format', '{{json .Config.Env}}', id]);
        for (const variable of [`EDGE=${testEdgeId}`, 'TAG=seven', 'FROM_FILE=yes', 'SECRET=gotnothing'])
          assert.ok(env.includes(`"${variable}"`), env);
      });

      it('E11: leaves it alone through failed polls and a restart', async () => {
        const before = await containers();
        const fetched = fetches();
        server.failWith(() => ({ kind: 'status', status: 502 }));
        await polls(2);
        server.failWith(() => undefined);
        await polls(2);
        await agent.stop();
        await start();
        await polls(2);
        assert.deepEqual(await containers(), before);
        assert.equal(fetches(), fetched);
        assert.deepEqual(statuses(1), [3, 8, 1, 7]);
      });

      it('E10: updates it', async () => {
        server.stackFiles.set(1, stackOf('web', `echo changed; ${forever}`));
        server.say({ stacks: [{ ID: 1, Version: 2 }] });
        await reported(1, [3, 8, 1, 7, 3, 8, 1, 7]);
        await eventually(async () => {
          const [id = ''] = await containers();
          assert.match(await node.docker(['logs', id]), /changed/);
        }, wait);
      });

      it('E10: says what is wrong with a bad one', async () => {
        server.stackFiles.set(2, {
          ...(stackOf('bad', forever) as object),
          DirEntries: [
            { Name: 'docker-compose.yml', Content: 'c2VydmljZXM6IFs=', IsFile: true, Permissions: 420 },
          ],
        });
        server.say({
          stacks: [
            { ID: 1, Version: 2 },
            { ID: 2, Version: 1 },
          ],
        });
        await reported(2, swarm ? [3, 8, 2] : [3, 2]);
        assert.match(
          String(server.stackStatuses.at(-1)?.body.Error),
          /^failed to (validate|redeploy) stack: /,
        );
      });

      if (!swarm) {
        it('E10: says what failed once it ran', async () => {
          server.stackFiles.set(4, stackOf('broken', 'exit 3'));
          server.say({
            stacks: [
              { ID: 1, Version: 2 },
              { ID: 2, Version: 1 },
              { ID: 4, Version: 1 },
            ],
          });
          await reported(4, [3, 8, 1, 2]);
          assert.match(String(server.stackStatuses.at(-1)?.body.Error), /^service \S+ exited with code 3$/);
        });
      }

      it('E10: removes them', async () => {
        server.say({ stacks: [] });
        await eventually(() => assert.deepEqual(statuses(1).slice(8), [9, 4]), wait);
        await eventually(() => assert.deepEqual(statuses(2).slice(-2), [9, 4]), wait);
        await eventually(async () => assert.deepEqual(await containers(), []), wait);
        // The Swarm takes a network away only once its last task has let go of it.
        await eventually(async () => {
          const networks = await node.docker(['network', 'ls', '--format', '{{.Name}}']);
          assert.doesNotMatch(networks, /edge_/);
        }, wait);
      });
    });
});
