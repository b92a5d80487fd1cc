// The cron file as recorded, and what must never become a line of it.

import assert from 'node:assert/strict';
import type { ScheduleJob } from '../edge.ts';
import { isOurCronFile, jobsOfCronFile, planCron } from './cron-file.ts';

const recorded =
  '## This file is managed by the Portainer agent. DO NOT EDIT MANUALLY ALL YOUR CHANGES WILL BE OVERWRITTEN.\nSHELL=/bin/sh\nPATH=/usr/local/sbin:/usr/local/bin:/sbin:/bin:/usr/sbin:/usr/bin\n\n0 2 * * * root /opt/portainer/scripts/schedule_2 > /opt/portainer/scripts/schedule_2.log 2>&1\n';

function job(changes: Partial<ScheduleJob> = {}): ScheduleJob {
  const script = Buffer.from('#!/bin/sh\necho 1\n').toString('base64').replaceAll('=', '');
  return { id: 2, cronExpression: '0 2 * * *', script, version: 1, collectLogs: false, ...changes };
}

describe('cron file of edge jobs', () => {
  it('is the recorded one, byte for byte', () => {
    const plan = planCron([job()]);
    assert.equal(plan.cronFile, recorded);
    assert.deepEqual(
      plan.scripts.map(({ name, content }) => [name, content.toString()]),
      [['schedule_2', '#!/bin/sh\necho 1\n']],
    );
    assert.deepEqual(plan.refused, []);
  });

  it('does not exist without jobs', () => {
    assert.equal(planCron([]).cronFile, undefined);
    assert.equal(planCron([job({ script: '%' })]).cronFile, undefined);
  });

  const good = [
    '*/5 * * * *',
    '0 2 * * mon-fri',
    '0,30 0-5/2 1 jan *',
    '@daily',
    ' 0\t2  * * * ',
    '59 23 31 12 7',
    '05 00 1 JAN-Mar sun-tue',
    '*/90 *,5 * * 5-7',
    '0-59/60 5-5 * 1-12/13 MON,5-7',
  ];
  for (const cronExpression of good)
    it(`takes ${JSON.stringify(cronExpression)}`, () => {
      assert.deepEqual(planCron([job({ cronExpression })]).refused, []);
    });

  const bad: readonly (readonly [string, Partial<ScheduleJob>])[] = [
    ['a second line', { cronExpression: '0 2 * * *\n* * * * * root id' }],
    ['a carriage return', { cronExpression: '0 2 * * *\r* * * * * root id' }],
    ['a NUL', { cronExpression: '0 2 * * *\0' }],
    ['a sixth field, which is the user', { cronExpression: '0 2 * * * nobody' }],
    ['a command of its own', { cronExpression: '0 2 * * * root rm -rf / #' }],
    ['a comment', { cronExpression: '# 2 * * *' }],
    ['an environment line', { cronExpression: 'SHELL=/tmp/x 2 * * *' }],
    ['four fields', { cronExpression: '0 2 * *' }],
    ['nothing', { cronExpression: '' }],
    ['a percent sign', { cronExpression: '% 2 * * *' }],
    ['a minute that there is not', { cronExpression: '60 2 * * *' }],
    ['an hour that there is not', { cronExpression: '0 24 * * *' }],
    ['a day that there is not', { cronExpression: '0 2 0 * *' }],
    ['a month that there is not', { cronExpression: '0 2 * 1-13 *' }],
    ['a weekday that there is not', { cronExpression: '0 2 * * 8' }],
    ['an unknown name', { cronExpression: '0 2 * * FOO' }],
    ['a name in full', { cronExpression: '0 2 * * monday' }],
    ['a weekday as a month', { cronExpression: '0 2 * mon *' }],
    ['a month as a minute', { cronExpression: 'jan 2 * * *' }],
    ['a range that leads back', { cronExpression: '5-1 2 * * *' }],
    ['a week that leads back', { cronExpression: '0 2 * * 5-0' }],
    ['a week that leads back by its names', { cronExpression: '0 2 * * fri-sun' }],
    ['a week that ends with Sunday by its name', { cronExpression: '0 2 * * 7-sun' }],
    ['minutes that end with a weekday', { cronExpression: '0-sun * * * *' }],
    ['months that end with a weekday', { cronExpression: '* * * jan-sun *' }],
    ['a step of nothing', { cronExpression: '*/0 2 * * *' }],
    ['a step behind one number', { cronExpression: '5/10 2 * * *' }],
    ['a step without a number', { cronExpression: '*/ 2 * * *' }],
    ['two steps', { cronExpression: '*/5/5 2 * * *' }],
    ['two ranges in one', { cronExpression: '1-3-5 2 * * *' }],
    ['a range from all', { cronExpression: '*-5 2 * * *' }],
    ['an empty item', { cronExpression: '1,,2 2 * * *' }],
    ['a comma at the end', { cronExpression: '1, 2 * * *' }],
    ['a minute by chance', { cronExpression: '0~5 2 * * *' }],
    ['an unknown nickname', { cronExpression: '@often' }],
    ['a script that is not base64', { script: 'not base64!' }],
    ['half a script', { script: 'YWJjZ' }],
    ['a script that is too long', { script: 'A'.repeat(2 * 1024 * 1024) }],
    ['a negative id', { id: -1 }],
    ['an id that is no number', { id: Number.NaN }],
    ['an id that is a path', { id: '../../etc/passwd' as unknown as number }],
  ];
  for (const [what, changes] of bad)
    it(`refuses ${what}, and runs the others`, () => {
      const plan = planCron([job(changes), job({ id: 3 })]);
      assert.equal(plan.refused.length, 1);
      assert.deepEqual(
        plan.scripts.map(({ name }) => name),
        ['schedule_3'],
      );
      assert.equal(plan.cronFile?.split('\n').length, 6);
    });

  it('names the field that is wrong', () => {
    const [refused] = planCron([job({ cronExpression: '0 2 * * FOO' })]).refused;
    assert.match(refused?.reason ?? '', /no day of the week/);
  });

  it('runs the first of two jobs with one id', () => {
    const plan = planCron([job(), job({ cronExpression: '@daily' })]);
    assert.equal(plan.cronFile, recorded);
    assert.deepEqual(plan.refused, [{ id: 2, reason: 'two jobs have this id' }]);
  });

  it('knows files of ours, and the jobs in them', () => {
    assert.deepEqual(jobsOfCronFile(recorded), [2]);
    assert.equal(isOurCronFile(recorded), true);
    assert.equal(isOurCronFile(`# mine\n${recorded}`), false);
    assert.deepEqual(jobsOfCronFile(`# mine\n${recorded}`), []);
    assert.deepEqual(jobsOfCronFile(recorded.replace('schedule_2 ', 'schedule_../../x ')), []);
  });
});
