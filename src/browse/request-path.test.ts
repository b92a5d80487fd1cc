// What may be named: roots, paths below them, and names of uploaded files.

import { deepEqual, equal, throws } from 'node:assert/strict';
import { AgentError } from '../errors.ts';
import { maxPathBytes, type Root, readFileName, readParts, readRoot } from './request-path.ts';

const volume: Root = { kind: 'volume', name: 'v' };
const host: Root = { kind: 'host' };

function parts(root: Root, path: string, hostRoot = '/host'): readonly string[] {
  return readParts(root, Buffer.from(path), hostRoot).map(String);
}

function refuses(act: () => unknown, message: RegExp): void {
  throws(
    act,
    (error) => error instanceof AgentError && error.code === 'request-invalid' && message.test(error.message),
  );
}

describe('paths of requests', () => {
  it('takes an empty id for the host, and plain names for volumes', () => {
    deepEqual(readRoot(''), host);
    for (const name of ['a', 'my_vol-1.0', '9', 'n'.repeat(255)])
      deepEqual(readRoot(name), { kind: 'volume', name });
    for (const name of ['.', '..', '-a', '_a', 'a/b', '/a', 'a\\b', 'a\0', 'a\n', 'ü', ' ', 'n'.repeat(256)])
      refuses(() => readRoot(name), /^invalid volume name/);
  });

  it('means every path of a volume from its root', () => {
    deepEqual(parts(volume, '/'), []);
    deepEqual(parts(volume, ''), []);
    deepEqual(parts(volume, '//a/./b//'), ['a', 'b']);
    deepEqual(parts(volume, 'a/...'), ['a', '...']);
    deepEqual(parts(volume, '/host/a'), ['host', 'a']);
  });

  it('refuses dot-dot between slashes of either kind, NUL, and what no program could name', () => {
    for (const path of ['..', '/..', 'a/..', 'a/../b', '..\\a', 'a\\..', '/a\\..\\b'])
      refuses(() => parts(volume, path), /'\.\.' elements$/);
    refuses(() => parts(host, '/host/..'), /'\.\.' elements$/);
    refuses(() => parts(volume, 'a\0b'), /NUL/);
    equal(parts(volume, 'a/'.repeat(maxPathBytes / 2)).length, maxPathBytes / 2);
    refuses(() => parts(volume, 'a'.repeat(maxPathBytes + 1)), /longer than 4096 bytes/);
  });

  it('reads look-alikes of dots and slashes as the names that they are', () => {
    for (const name of ['\u2024\u2024', '\uFF0E\uFF0E', '%2e%2e', '..\u200b', '\uFFFD2E\uFFFD2E'])
      deepEqual(parts(volume, `a/${name}`), ['a', name]);
  });

  it('reads what is shown of bytes as these bytes', () => {
    deepEqual(readParts(volume, Buffer.from('a/\uFFFDFF'), '/host')[1], Buffer.from([0xff]));
    deepEqual(readParts(volume, Buffer.from([0x61, 0xff]), '/host')[0], Buffer.from([0x61, 0xff]));
  });

  it('finds the host below /host, and below where it is mounted', () => {
    deepEqual(parts(host, '/host'), []);
    deepEqual(parts(host, '/host/etc'), ['etc']);
    deepEqual(parts(host, '/mnt/root/etc', '/mnt/root'), ['etc']);
    deepEqual(parts(host, '/etc', '/'), ['etc']);
    for (const path of ['/', '', '/etc', '/hostile/etc', '/mnt', 'etc/host'])
      refuses(() => parts(host, path, '/mnt/root'), /begin with \/host$/);
  });

  it('keeps the last part of the name of an upload', () => {
    const read = (name: string): string | undefined => readFileName(Buffer.from(name))?.toString();
    for (const [name, last] of [
      ['a', 'a'],
      ['../../a', 'a'],
      ['/etc/a', 'a'],
      ['C:\\a', 'C:\\a'],
      ['..\\..\\a', '..\\..\\a'],
    ] as const)
      equal(read(name), last);
    for (const name of ['', '/', 'a/', '.', '..', 'a/..', 'a\0']) equal(read(name), undefined);
  });
});
