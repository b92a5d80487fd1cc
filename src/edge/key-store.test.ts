// The kept key: where it is looked for, how it is written, and that an association is whole or has not happened.

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { edgeVectors } from '../../test/support/edge-vectors.ts';
import { silentLogger } from '../log.ts';
import { openKeyStore } from './key-store.ts';

const [first = '', second = ''] = edgeVectors.edgeKey.valid.map(({ encoded }) => encoded);

describe('E1 edge key store', () => {
  let dataPath: string;
  let file: string;
  beforeEach(async () => {
    dataPath = await mkdtemp(join(tmpdir(), 'edge-key-'));
    file = join(dataPath, 'agent_edge_key');
  });
  afterEach(() => rm(dataPath, { recursive: true, force: true }));
  const open = (given?: string): ReturnType<typeof openKeyStore> =>
    openKeyStore(silentLogger, { dataPath, given });

  it('has none at first', async () => {
    assert.equal((await open()).current(), undefined);
  });

  it('keeps an association with mode 0600, tells who listens, and finds it again', async () => {
    const keys = await open();
    const told: unknown[] = [];
    keys.onAssociated(({ environmentId }, from) => told.push([environmentId, from]));
    await keys.associate(` ${first}\n`, 'page');
    assert.deepEqual(told, [[7, 'page']]);
    assert.equal(await readFile(file, 'utf8'), first);
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    assert.equal((await open()).current()?.environmentId, 7);
    assert.deepEqual(await readdir(dataPath), ['agent_edge_key']);
  });

  it('reads what the original wrote, and gives it mode 0600 when it writes again', async () => {
    await writeFile(file, `${first}\n`, { mode: 0o644 });
    assert.equal((await open()).current()?.text, first);
    await open(first);
    assert.equal((await stat(file)).mode & 0o777, 0o600);
  });

  it('prefers the environment to the disk, and keeps it', async () => {
    await writeFile(file, first);
    assert.equal((await open(second)).current()?.text, second);
    assert.equal(await readFile(file, 'utf8'), second);
  });

  it('starts with the key of the environment where nothing can be kept', async () => {
    await writeFile(join(dataPath, 'data'), 'a file where a folder should be');
    const keys = await openKeyStore(silentLogger, { dataPath: join(dataPath, 'data'), given: first });
    assert.equal(keys.current()?.text, first);
  });

  it('does not start with a key that is none, and names where it was', async () => {
    await assert.rejects(open('nonsense!'), { code: 'config-invalid', message: /of EDGE_KEY: .*not base64/ });
    await writeFile(file, '');
    await assert.rejects(open(), { code: 'config-invalid', message: /agent_edge_key: .*empty/ });
    await rm(file);
    await mkdir(file);
    await assert.rejects(open(), { code: 'config-invalid', message: /EISDIR/ });
  });

  it('never half-associates: a wrong key and a disk that refuses leave all as it was', async () => {
    const keys = await open();
    await assert.rejects(keys.associate('nonsense!', 'page'), { code: 'request-invalid' });
    await mkdir(file);
    await assert.rejects(keys.associate(first, 'page'), { code: 'unavailable', message: /agent_edge_key/ });
    assert.equal(keys.current(), undefined);
    await rm(file, { recursive: true });
    await keys.associate(first, 'page');
    assert.equal(keys.current()?.text, first);
  });

  it('never replaces a key, and takes the same one again', async () => {
    const keys = await open();
    const results = await Promise.allSettled(
      [first, second, first].map((text) => keys.associate(text, 'api')),
    );
    assert.deepEqual(
      results.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    );
    assert.equal(keys.current()?.text, first);
    assert.equal(await readFile(file, 'utf8'), first);
    await assert.rejects(keys.associate(second, 'member'), { code: 'limit-exceeded' });
  });
});
