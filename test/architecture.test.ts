// The import rules of the house as a table: which module may name whose types, and who may import values.
// Reads the import lines of src/ only; cycles between files are Biome's noImportCycles.

import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { basename, dirname, join, normalize } from 'node:path';

/** Whose types each module may name, from the front door only. To add an edge, change this table and say why. */
const mayName: Readonly<Record<string, readonly string[]>> = {
  config: [],
  docker: [],
  auth: [],
  cluster: ['docker'],
  proxy: ['docker', 'cluster'],
  browse: ['docker'],
  edge: ['docker'],
  ui: ['edge'],
  policy: ['auth', 'proxy'],
  audit: ['auth', 'proxy'],
  enrollment: ['auth'],
  api: [
    'config',
    'docker',
    'auth',
    'browse',
    'cluster',
    'proxy',
    'edge',
    'ui',
    'policy',
    'audit',
    'enrollment',
  ],
};

/** Imported by all; they import nothing of ours but each other. */
const leaves = [
  'errors.ts',
  'exchange.ts',
  'keep-file.ts',
  'lifecycle.ts',
  'log.ts',
  'version.ts',
  'wire.ts',
];
/** Build and wire the modules, so they import values from anywhere. */
const compositionFiles = ['main.ts', 'flotilla.ts'];
const compositionFolders = ['cli', 'compose'];

const source = join(import.meta.dirname, '../src');
const files = globSync('**/*.ts', { cwd: source }).toSorted();
const productFiles = files.filter((file) => !file.endsWith('.test.ts'));

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
}

function importsOf(file: string): readonly Import[] {
  const text = readFileSync(join(source, file), 'utf8');
  const found = text.matchAll(
    /^(?:import|export)\s+(type\s)?[^;]*?\sfrom\s+'(\.[^']+)'|^import\s+()'(\.[^']+)'|\bimport\(()'(\.[^']+)'\)/gm,
  );
  return [...found].map((match) => ({
    from: file,
    to: normalize(join(dirname(file), match[2] ?? match[4] ?? match[6] ?? '')),
    typeOnly: match[1] !== undefined,
  }));
}

/** The module folder a file belongs to; the file itself for those directly in src/. */
function moduleOf(file: string): string {
  const slash = file.indexOf('/');
  return slash === -1 ? file : file.slice(0, slash);
}

function isComposition(file: string): boolean {
  return compositionFiles.includes(file) || compositionFolders.includes(moduleOf(file));
}

/** What is wrong with an import; undefined when it keeps the rules. */
function faultOf({ from, to, typeOnly }: Import): string | undefined {
  if (from.endsWith('.test.ts') && to.startsWith('../test/support/')) return undefined;
  if (to.startsWith('..')) return 'leaves src/';
  if (leaves.includes(from)) return leaves.includes(to) ? undefined : 'a leaf file imports a module';
  if (leaves.includes(to) || isComposition(from) || moduleOf(from) === moduleOf(to)) return undefined;
  if (isComposition(to)) return 'a module imports the composition root';
  const target = moduleOf(to);
  if (mayName[moduleOf(from)]?.includes(target) !== true) return `${moduleOf(from)} may not name ${target}`;
  if (basename(to) !== `${target}.ts`) return 'not the front door';
  return typeOnly ? undefined : 'a value; values are passed in by main.ts';
}

describe('architecture', () => {
  it('keeps the import rules between modules', () => {
    // Unit tests keep the same rules, except that they use what test/support makes for them.
    const faults = files
      .flatMap(importsOf)
      .map((found) => ({ found, fault: faultOf(found) }))
      .filter(({ fault }) => fault !== undefined)
      .map(({ found, fault }) => `${found.from} imports ${found.to}: ${fault}`);
    assert.deepEqual(faults, []);
  });

  it('recognises each kind of broken rule', () => {
    const fault = (from: string, to: string, typeOnly = true): string | undefined =>
      faultOf({ from, to, typeOnly });
    assert.equal(fault('proxy/route.ts', 'cluster/cluster.ts'), undefined);
    assert.equal(
      fault('proxy/route.ts', 'cluster/cluster.ts', false),
      'a value; values are passed in by main.ts',
    );
    assert.equal(fault('proxy/route.ts', 'cluster/gossip.ts'), 'not the front door');
    assert.equal(fault('cluster/cluster.ts', 'proxy/proxy.ts'), 'cluster may not name proxy');
    assert.equal(fault('auth/auth.ts', 'main.ts'), 'a module imports the composition root');
    assert.equal(fault('errors.ts', 'proxy/proxy.ts'), 'a leaf file imports a module');
    assert.equal(fault('proxy/proxy.ts', '../scripts/steps.ts'), 'leaves src/');
    assert.equal(fault('main.ts', 'cluster/gossip.ts', false), undefined);
    assert.equal(importsOf('flotilla.ts').length, 1);
  });

  it('has no cycle among the modules', () => {
    const reaches = (from: string, to: string): boolean =>
      (mayName[from] ?? []).some((next) => next === to || reaches(next, to));
    assert.deepEqual(
      Object.keys(mayName).filter((module) => reaches(module, module)),
      [],
    );
  });

  it('knows every folder of src', () => {
    const folders = new Set(productFiles.filter((file) => file.includes('/')).map(moduleOf));
    for (const folder of compositionFolders) folders.delete(folder);
    assert.deepEqual(
      [...folders].filter((folder) => mayName[folder] === undefined),
      [],
    );
  });

  it('touches the process in main.ts, cli and config/env.ts only', () => {
    const owned = /\bprocess\.(env|argv|exit|exitCode|on|once|kill|stdin|stdout|stderr|chdir|umask)\b/;
    const faults = productFiles.filter(
      (file) =>
        !isComposition(file) &&
        file !== 'config/env.ts' &&
        owned.test(readFileSync(join(source, file), 'utf8')),
    );
    assert.deepEqual(faults, []);
  });

  it('starts every file with a comment that says what it is for', () => {
    const faults = files.filter((file) => {
      const lines = readFileSync(join(source, file), 'utf8').split('\n');
      const first = lines[0]?.startsWith('#!') === true ? lines[1] : lines[0];
      return first?.startsWith('// ') !== true && first?.startsWith('/**') !== true;
    });
    assert.deepEqual(faults, []);
  });
});
