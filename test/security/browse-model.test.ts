// Property test: random trees with links and odd names, and random actions through the API beside the same ones on a
// model. After every stretch the disk must be the model to the byte, and nothing outside may have been read or touched.

import { deepEqual, equal, ok } from 'node:assert/strict';
import { lstat, mkdir, readdir, readFile, readlink, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { showName } from '../../src/browse/names.ts';
import {
  type BrowseClient,
  type BrowsedVolume,
  browseClient,
  createVolume,
  keptConnection,
} from '../support/browse.ts';
import {
  type BrowseModel,
  createBrowseModel,
  type Folder,
  type ModelNode,
  type Outcome,
} from '../support/browse-model.ts';
import { useAgent } from '../support/checks.ts';
import { pick, type Random, seeded } from '../support/random-json.ts';
import type { RawAnswer } from '../support/raw-http.ts';
import { scaled } from '../support/scale.ts';

/** One character is one byte. */
const names = [
  'a',
  'b',
  'c',
  'new\nline',
  'quo"te\'s',
  'back\\slash',
  '100%25 + &=?#',
  '\xff\xfe\x80',
  latin1('grün'),
  latin1('\uFFFD41'),
  'n'.repeat(255),
  '...',
  '-rf',
];
/** A form's file name has no quotes and line ends. */
const uploadNames = names.filter((name) => !/["\n]/.test(name));
const targets = [
  'a',
  'b',
  './c',
  '../a',
  '../../b',
  'a/../b',
  'c/a',
  '/etc',
  '/',
  '..',
  '../outside',
  'n'.repeat(255),
];
const expectedKinds = ['ls 200', 'get 200', 'put 204', 'delete 204', 'rename 204'].flatMap((done) => {
  const [action = ''] = done.split(' ');
  return [done, `${action} 400`, `${action} 500`];
});
const secret = 'nobody inside may read this';

describe('browse beside a model', () => {
  const under = useAgent();

  it(`does in ${scaled(1_000, 10_000)} actions what the model does, and nothing outside`, async function () {
    this.timeout(scaled(60_000, 600_000));
    const seed = scaled(1, Date.now() % 1_000_000);
    const random = seeded(seed);
    await using connection = await keptConnection(under());
    const perTree = 250;
    const seen = new Map<string, number>();
    for (let tree = 0; tree < scaled(1_000, 10_000) / perTree; tree += 1) {
      await using volume = await createVolume(under());
      await writeFile(join(volume.folder, 'outside'), secret);
      const model = createBrowseModel();
      await growLinks(random, model.root, volume.data);
      const client = browseClient(connection, volume.name);
      for (let action = 0; action < perTree; action += 1) {
        const what = await act(random, model, client, `seed ${seed}, tree ${tree}, action ${action}`);
        const kind = `${what.action} ${what.answer.status}`;
        seen.set(kind, (seen.get(kind) ?? 0) + 1);
        ok(!what.answer.body.includes(secret), 'something outside was revealed');
        ok(!what.answer.body.includes(volume.folder), 'a path of the host was revealed');
      }
      deepEqual(await readTree(volume.data), treeOf(model.root), `seed ${seed}, tree ${tree}`);
      await assertOutside(volume);
    }
    // The model agrees easily where everything is refused.
    for (const kind of expectedKinds)
      ok((seen.get(kind) ?? 0) > 0, `never ${kind}: ${JSON.stringify([...seen])}`);
  });
});

/** Files, folders and links, in the model and on the disk. */
async function growLinks(random: Random, folder: Folder, path: string, depth = 0): Promise<void> {
  for (let count = 3 + pick(random, 4); count > 0; count -= 1) {
    const name = one(random, names);
    if (folder.children.has(name)) continue;
    const kind = one(random, ['file', 'folder', 'link', 'link'] as const);
    const at = bytes(`${latin1(path)}/${name}`);
    if (kind === 'file') {
      folder.children.set(name, { kind, content: name });
      await writeFile(at, bytes(name));
    } else if (kind === 'link') {
      const target = one(random, targets);
      folder.children.set(name, { kind, target });
      await symlink(bytes(target), at);
    } else if (depth < 3) {
      const child: Folder = { kind, children: new Map() };
      folder.children.set(name, child);
      await mkdir(at);
      await growInto(random, child, at, depth + 1);
    }
  }
}

/** Below names that are not UTF-8 a path is no string; there only the folder itself is grown. */
async function growInto(random: Random, folder: Folder, at: Buffer, depth: number): Promise<void> {
  const text = at.toString('utf8');
  if (Buffer.from(text).equals(at) && at.length < 1_500) await growLinks(random, folder, text, depth);
}

interface Done {
  readonly action: string;
  readonly answer: RawAnswer;
}

async function act(random: Random, model: BrowseModel, client: BrowseClient, where: string): Promise<Done> {
  const path = randomPath(random, model);
  const action = one(random, ['ls', 'get', 'get', 'put', 'put', 'delete', 'rename'] as const);
  const at = `${where}: ${action} ${JSON.stringify(path)}`;
  switch (action) {
    case 'ls': {
      const answer = await client.ls(bytes(`/${path.join('/')}`));
      const listed = check(answer, model.list(path), 200, at);
      if (listed !== undefined) equalEntries(answer, listed, at);
      return { action, answer };
    }
    case 'get': {
      const answer = await client.get(bytes(`./${path.join('/')}`));
      const content = check(answer, model.get(path), 200, at);
      if (content !== undefined) equal(answer.body.toString('latin1'), content, at);
      return { action, answer };
    }
    case 'put': {
      const [name, content] = [one(random, uploadNames), `${where} `.repeat(pick(random, 20))];
      const answer = await client.put(bytes(`/${path.join('/')}`), bytes(name), bytes(content));
      check(answer, model.put(path, name, content), 204, `${at} ${JSON.stringify(name)}`);
      return { action, answer };
    }
    case 'delete': {
      const answer = await client.remove(bytes(`/${path.join('//')}`));
      check(answer, model.remove(path), 204, at);
      return { action, answer };
    }
    case 'rename': {
      const to = randomPath(random, model);
      const answer = await client.rename(`/${shown(path)}`, `/./${shown(to)}`);
      check(answer, model.rename(path, to), 204, `${at} to ${JSON.stringify(to)}`);
      return { action, answer };
    }
  }
}

/** The value that the model gives when it does; the answer must agree with it either way. */
function check<T>(answer: RawAnswer, expected: Outcome<T>, status: number, at: string): T | undefined {
  const wanted = expected.kind === 'done' ? status : expected.kind === 'refused' ? 400 : 500;
  equal(answer.status, wanted, `${at}: ${answer.body.toString('latin1').slice(0, 300)}`);
  return expected.kind === 'done' ? expected.value : undefined;
}

function equalEntries(
  answer: RawAnswer,
  expected: ReturnType<BrowseModel['list']> extends Outcome<infer T> ? T : never,
  at: string,
): void {
  const entries = JSON.parse(answer.body.toString()) as { Name: string; Size: number; Dir: boolean }[];
  const found = entries.map(({ Name, Size, Dir }) => ({
    name: Name,
    isFolder: Dir,
    size: Dir ? undefined : Size,
  }));
  const sorted = expected.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  deepEqual(
    found,
    sorted.map((entry) => ({ ...entry, name: showName(bytes(entry.name)) })),
    at,
  );
}

/** Mostly along what is there, so that most actions find something. */
function randomPath(random: Random, model: BrowseModel): readonly string[] {
  const path: string[] = [];
  let at: ModelNode | undefined = model.root;
  for (let length = pick(random, 5); length > 0; length -= 1) {
    const there: readonly string[] = at?.kind === 'folder' ? [...at.children.keys()] : [];
    const name = one(random, there.length > 0 && random() < 0.85 ? there : names);
    path.push(name);
    at = at?.kind === 'folder' ? at.children.get(name) : undefined;
    if (at?.kind === 'file' && random() < 0.8) break;
  }
  return path;
}

type Tree = Map<string, string | Tree>;

async function readTree(folder: string | Buffer): Promise<Tree> {
  const tree: Tree = new Map();
  for (const name of await readdir(folder, { encoding: 'buffer' })) {
    const at = Buffer.concat([Buffer.from(folder), Buffer.from('/'), name]);
    const stats = await lstat(at);
    const value = stats.isDirectory()
      ? await readTree(at)
      : stats.isSymbolicLink()
        ? `link ${await readlink(at, { encoding: 'latin1' })}`
        : `file ${await readFile(at, 'latin1')}`;
    tree.set(name.toString('latin1'), value);
  }
  return tree;
}

function treeOf(folder: Folder): Tree {
  return new Map(
    [...folder.children].map(([name, node]) => [
      name,
      node.kind === 'folder'
        ? treeOf(node)
        : node.kind === 'link'
          ? `link ${node.target}`
          : `file ${node.content}`,
    ]),
  );
}

async function assertOutside(volume: BrowsedVolume): Promise<void> {
  deepEqual((await readdir(volume.folder)).toSorted(), ['data', 'outside']);
  equal(await readFile(join(volume.folder, 'outside'), 'utf8'), secret);
}

function one<T>(random: Random, from: readonly T[]): T {
  const found = from[pick(random, from.length)];
  if (found === undefined) throw new Error('nothing to choose from');
  return found;
}

function bytes(name: string): Buffer {
  return Buffer.from(name, 'latin1');
}

function latin1(text: string): string {
  return Buffer.from(text).toString('latin1');
}

function shown(path: readonly string[]): string {
  return path.map((name) => showName(bytes(name))).join('/');
}
