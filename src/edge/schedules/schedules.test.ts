// Edge jobs on a host that is a folder, with a Portainer server that takes the logs.

import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createEdgeJobsBench, type EdgeJobsBench } from '../../../test/support/edge-jobs.ts';
import { silentLogger } from '../../log.ts';
import type { ScheduleJob, ScheduleKeeper } from '../edge.ts';
import { createScheduleKeeper } from './schedules.ts';

function job(id: number, changes: Partial<ScheduleJob> & { readonly text?: string } = {}): ScheduleJob {
  const { text = `echo ${id}\n`, ...rest } = changes;
  const script = Buffer.from(text).toString('base64').replaceAll('=', '');
  return { id, cronExpression: '0 2 * * *', script, version: 1, collectLogs: false, ...rest };
}

describe('schedules', () => {
  let bench: EdgeJobsBench;
  let keeper: ScheduleKeeper;
  const host = (file: string): string => path.join(bench.folder, file);
  const cronFile = (): Promise<string> => readFile(host('etc/cron.d/portainer_agent'), 'utf8');
  const scripts = async (): Promise<readonly string[]> =>
    (await readdir(host('opt/portainer/scripts'))).toSorted();
  const start = (): ScheduleKeeper =>
    createScheduleKeeper({ openHostFolder: bench.openHostFolder, log: silentLogger });
  const apply = (...jobs: readonly ScheduleJob[]): Promise<void> =>
    keeper.apply(jobs, bench.portainer, new AbortController().signal);

  beforeEach(async () => {
    bench = await createEdgeJobsBench();
    keeper = start();
  });

  afterEach(() => bench[Symbol.asyncDispose]());

  it('writes scripts that the host can run, and the file that its cron reads', async () => {
    await apply(job(2), job(5));
    assert.match(await cronFile(), /\n0 2 \* \* \* root \/opt\/portainer\/scripts\/schedule_5 > /);
    assert.equal((await stat(host('etc/cron.d/portainer_agent'))).mode & 0o777, 0o644);
    assert.deepEqual(await scripts(), ['schedule_2', 'schedule_5']);
    const script = host('opt/portainer/scripts/schedule_2');
    assert.equal(await readFile(script, 'utf8'), 'echo 2\n');
    assert.equal((await stat(script)).mode & 0o777, 0o744);
  });

  it('touches nothing of a host without jobs', async () => {
    await apply();
    assert.deepEqual(await readdir(bench.folder), []);
  });

  it('does nothing for the same list, and rewrites for another version', async () => {
    await apply(job(2));
    await rm(host('etc/cron.d/portainer_agent'));
    await apply(job(2));
    await assert.rejects(cronFile(), { code: 'ENOENT' });
    await apply(job(2, { version: 2, text: 'echo two\n' }));
    assert.match(await cronFile(), /schedule_2 /);
    assert.equal(await readFile(host('opt/portainer/scripts/schedule_2'), 'utf8'), 'echo two\n');
  });

  it('removes one job of several, with its script and log', async () => {
    await apply(job(2), job(5));
    await writeFile(host('opt/portainer/scripts/schedule_5.log'), 'out');
    await writeFile(host('opt/portainer/scripts/mine'), 'kept');
    await apply(job(2));
    assert.doesNotMatch(await cronFile(), /schedule_5/);
    assert.deepEqual(await scripts(), ['mine', 'schedule_2']);
  });

  it('removes after a restart what was removed meanwhile', async () => {
    await apply(job(2), job(5));
    keeper = start();
    await apply();
    await assert.rejects(cronFile(), { code: 'ENOENT' });
    assert.deepEqual(await scripts(), []);
  });

  it('leaves a file of that name that somebody else wrote when there are no jobs', async () => {
    await mkdir(host('etc/cron.d'), { recursive: true });
    await writeFile(host('etc/cron.d/portainer_agent'), '# mine\n');
    await apply();
    assert.equal(await cronFile(), '# mine\n');
  });

  it('replaces links instead of writing through them', async () => {
    await mkdir(host('opt/portainer/scripts'), { recursive: true });
    await mkdir(host('etc/cron.d'), { recursive: true });
    await writeFile(host('precious'), 'precious');
    await symlink('../../../precious', host('opt/portainer/scripts/schedule_2'));
    await symlink('../../precious', host('etc/cron.d/portainer_agent'));
    await symlink('../../precious', host('etc/cron.d/.portainer_agent.tmp'));
    await apply(job(2));
    assert.equal(await readFile(host('precious'), 'utf8'), 'precious');
    assert.equal(await readFile(host('opt/portainer/scripts/schedule_2'), 'utf8'), 'echo 2\n');
    assert.match(await cronFile(), /schedule_2/);
  });

  it('reads absolute links of the host as the host does', async () => {
    await mkdir(host('srv/opt'), { recursive: true });
    await symlink('/srv/opt', host('opt'));
    await apply(job(2));
    assert.deepEqual(await readdir(host('srv/opt/portainer/scripts')), ['schedule_2']);
  });

  it('says that the host is not mounted', async () => {
    await rm(bench.folder, { recursive: true });
    await apply();
    await assert.rejects(apply(job(2)), /the host's files: they are not mounted at/);
  });

  it('sends a log, an empty one for a job that never ran, and nothing behind a link', async () => {
    await apply(job(2), job(5), job(6));
    await writeFile(host('secret'), 'secret');
    await writeFile(host('opt/portainer/scripts/schedule_2.log'), 'done ✓\n');
    await symlink('/secret', host('opt/portainer/scripts/schedule_6.log'));
    await apply(job(2, { collectLogs: true }), job(5, { collectLogs: true }), job(6, { collectLogs: true }));
    assert.deepEqual(
      [...bench.server.jobLogs],
      [
        [2, 'done ✓\n'],
        [5, ''],
        [6, ''],
      ],
    );
  });

  it('sends the end of a log that is too long', async () => {
    await apply(job(2));
    await writeFile(host('opt/portainer/scripts/schedule_2.log'), `${'x'.repeat(5 * 1024 * 1024)}the end`);
    await apply(job(2, { collectLogs: true }));
    const sent = bench.server.jobLogs.get(2) ?? '';
    assert.equal(sent.length, 4 * 1024 * 1024);
    assert.match(sent, /the end$/);
  });

  it('fails where a log is not taken, so that the next poll tries again', async () => {
    bench.server.failWith(() => ({ kind: 'status', status: 502 }));
    await assert.rejects(apply(job(2, { collectLogs: true })), /log of edge job 2: status 502/);
    bench.server.failWith(() => undefined);
    await apply(job(2, { collectLogs: true }));
    assert.equal(bench.server.jobLogs.get(2), '');
  });

  it('sends the other logs where one is not taken', async () => {
    bench.server.failWith(({ path: where }) =>
      where.includes('/jobs/2/') ? { kind: 'status', status: 502 } : undefined,
    );
    const jobs = [
      job(2, { collectLogs: true }),
      job(5, { collectLogs: true }),
      job(6, { collectLogs: true }),
    ];
    await assert.rejects(apply(...jobs), /log of edge job 2: status 502/);
    assert.deepEqual([...bench.server.jobLogs.keys()], [5, 6]);
  });

  it('sends a shorter end where a proxy does not take the longer one', async () => {
    const maxBytes = 1024 * 1024;
    bench.server.failWith(({ body }) =>
      Buffer.byteLength(body) > maxBytes ? { kind: 'status', status: 413 } : undefined,
    );
    await apply(job(2));
    await writeFile(host('opt/portainer/scripts/schedule_2.log'), `${'line\n'.repeat(maxBytes)}the end`);
    await apply(job(2, { collectLogs: true }));
    const sent = bench.server.jobLogs.get(2) ?? '';
    assert.equal(sent.length, 512 * 1024);
    assert.match(sent, /the end$/);
  });

  it('says so where a proxy takes no log at all, after a few attempts', async () => {
    bench.server.failWith(() => ({ kind: 'status', status: 413 }));
    await assert.rejects(apply(job(2, { collectLogs: true })), /log of edge job 2: status 413/);
    assert.ok(bench.server.requests().length <= 3);
  });

  it('leaves the file as it was when a folder of the host cannot be written', async () => {
    await apply(job(2));
    await rm(host('opt/portainer/scripts'), { recursive: true });
    await writeFile(host('opt/portainer/scripts'), 'a file');
    await assert.rejects(apply(job(2), job(5)), /it is not a folder/);
    assert.doesNotMatch(await cronFile(), /schedule_5/);
  });
});
