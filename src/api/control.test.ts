// The control socket over a real unix socket: who may open it, what it answers, and what it leaves behind.

import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '../log.ts';
import type { ControlNeeds } from './control.ts';
import { createControl } from './control.ts';
import { decideHealth } from './health.ts';

const never = new AbortController().signal;
const listed = { publicKeyHex: '3059', associatedAtMs: 5, by: 'node1' };

function needs(more: Partial<ControlNeeds> = {}): ControlNeeds {
  return {
    keys: {
      list: () => [listed],
      forget: async () => ({ nodes: [{ node: 'node1', outcome: 'forgotten' }] }),
    },
    health: () =>
      decideHealth({
        engine: { kind: 'reachable' },
        cluster: 'alone',
        listener: 'listening',
        draining: false,
        nodeName: 'node1',
        members: 1,
        missing: [],
        nowMs: 0,
      }),
    nodes: async () => ({ cluster: 'alone', atMs: 0, nodes: [] }),
    doctor: async () => ({ node: 'node1', members: [], atMs: 0, problems: 0, warnings: 0, checks: [] }),
    log: silentLogger,
    ...more,
  };
}

function call(
  socketPath: string,
  method: string,
  path: string,
): Promise<readonly [number | undefined, unknown]> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, method, path }, (res) => {
      let text = '';
      res.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      res.on('end', () => resolve([res.statusCode, JSON.parse(text)]));
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}

describe('control socket', () => {
  let folder: string;
  let path: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'control-'));
    path = join(folder, 'run', 'control.sock');
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('answers health, keys and forget, and is for its owner only', async () => {
    const control = createControl(needs(), { controlSocket: path });
    await control.start(never);
    await control.start(never);
    try {
      assert.equal((await stat(path)).mode & 0o777, 0o600);
      const [status, health] = await call(path, 'GET', '/health');
      assert.equal(status, 200);
      assert.deepEqual(health, needs().health());
      assert.deepEqual(await call(path, 'GET', '/keys'), [200, { keys: [listed] }]);
      assert.deepEqual(await call(path, 'GET', '/nodes'), [200, await needs().nodes(never)]);
      assert.deepEqual(await call(path, 'GET', '/doctor'), [200, await needs().doctor(never)]);
      assert.deepEqual(await call(path, 'POST', '/keys/forget'), [
        200,
        { nodes: [{ node: 'node1', outcome: 'forgotten' }] },
      ]);
      assert.equal((await call(path, 'GET', '/keys/forget'))[0], 404);
    } finally {
      await control.stop(never);
      await control.stop(never);
    }
    assert.deepEqual(await readdir(join(folder, 'run')), []);
  });

  it('says why forgetting failed, and goes on', async () => {
    const forget = async (): Promise<never> => {
      throw new Error('disk full');
    };
    const control = createControl(needs({ keys: { list: () => [], forget } }), { controlSocket: path });
    await control.start(never);
    try {
      assert.deepEqual(await call(path, 'POST', '/keys/forget'), [500, { error: 'disk full' }]);
      assert.deepEqual(await call(path, 'GET', '/keys'), [200, { keys: [] }]);
    } finally {
      await control.stop(never);
    }
  });

  it('ends a forget that takes too long', async () => {
    const forget = (signal: AbortSignal): Promise<never> =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('gave up'))));
    const control = createControl(needs({ keys: { list: () => [], forget } }), {
      controlSocket: path,
      forgetTimeoutMs: 10,
    });
    await control.start(never);
    try {
      assert.deepEqual(await call(path, 'POST', '/keys/forget'), [500, { error: 'gave up' }]);
    } finally {
      await control.stop(never);
    }
  });

  it('replaces what a killed agent left, and leaves what a newer agent made', async () => {
    const old = createControl(needs(), { controlSocket: path });
    await old.start(never);
    const newer = createControl(needs(), { controlSocket: path });
    await newer.start(never);
    await old.stop(never);
    try {
      assert.equal((await call(path, 'GET', '/health'))[0], 200);
    } finally {
      await newer.stop(never);
    }
  });

  it('does not keep the agent from serving when it cannot be made', async () => {
    const warnings: string[] = [];
    await writeFile(join(folder, 'run'), 'a file where the folder should be');
    const control = createControl(
      needs({ log: { ...silentLogger, warn: (event) => void warnings.push(event) } }),
      {
        controlSocket: path,
      },
    );
    await control.start(never);
    await control.stop(never);
    assert.equal(warnings.length, 1);
    assert.equal(await readFile(join(folder, 'run'), 'utf8'), 'a file where the folder should be');
  });
});
