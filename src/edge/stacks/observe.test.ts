// What the docker CLI lists, and what it means for a stack.

import assert from 'node:assert/strict';
import { observeContainers, observeServices, observeTasks, toServices } from './observe.ts';

describe('a stack as it is seen', () => {
  const containers: readonly (readonly [readonly string[], string])[] = [
    [[], 'none'],
    [['running\tUp 2 seconds'], 'running'],
    [['running\tUp 2 seconds', 'exited\tExited (0) 1 second ago'], 'running'],
    [['exited\tExited (0) 1 second ago'], 'completed'],
    [['running\tUp 2 seconds', 'exited\tExited (137) 1 second ago'], 'failed'],
    [['dead\tDead'], 'completed'],
    [['created\tCreated'], 'starting'],
    [['restarting\tRestarting (1) 5 seconds ago'], 'starting'],
    [['paused\tUp 2 seconds (Paused)', 'running\tUp 2 seconds'], 'starting'],
    [['removing\tRemoval In Progress', 'running\tUp 2 seconds'], 'removing'],
  ];
  for (const [rows, kind] of containers)
    it(`is ${kind} with ${rows.map((row) => row.replace('\t', ' ')).join(', ') || 'no container'}`, () => {
      const text = rows.map((row, at) => `c${at}\t${row}\n`).join('');
      assert.equal(observeContainers(text).kind, kind);
    });

  it('says which container failed, in the words of the original', () => {
    assert.deepEqual(observeContainers('edge_web_1\texited\tExited (3) 1 second ago\n'), {
      kind: 'failed',
      reason: 'service edge_web_1 exited with code 3',
    });
  });

  const services: readonly (readonly [readonly string[], string | undefined])[] = [
    [[], 'none'],
    [['1/1'], 'running'],
    [['0/0'], 'running'],
    [['3/3 (max 1 per node)'], 'running'],
    [['0/1'], undefined],
    [['1/1', '2/3'], undefined],
    [['0/1 (1/1 completed)'], 'completed'],
    [['0/1 (1/1 completed)', '1/1'], 'running'],
    [['0/1 (0/1 completed)'], undefined],
  ];
  for (const [replicas, kind] of services)
    it(`is ${kind ?? 'not known yet'} with services ${replicas.join(', ') || 'none'}`, () => {
      const text = replicas.map((count, at) => `s${at}\t${count}\n`).join('');
      assert.equal(observeServices(toServices(text))?.kind, kind);
    });

  it('has failed when the newest task of a service has', () => {
    const failed = 's.1\tRejected 2 seconds ago\t"No such image: x"\n \\_ s.1\tRunning 1 minute ago\t\n';
    assert.deepEqual(observeTasks(failed), { kind: 'failed', reason: '"No such image: x"' });
    assert.equal(
      observeTasks('s.1\tReady 1 second ago\t\n \\_ s.1\tFailed 2 seconds ago\t"x"\n').kind,
      'starting',
    );
    assert.equal(observeTasks('').kind, 'starting');
  });
});
