// What the repository says about itself: documents against code, dependencies against their reasons, links, names.

import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { generatedDocuments, limitsOf } from '../scripts/doc-tables.ts';
import { variables } from '../src/config/env.ts';
import { agentVersion } from '../src/version.ts';

const root = join(import.meta.dirname, '..');

function read(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

interface Package {
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies: Readonly<Record<string, string>>;
}

interface Lock {
  readonly packages: Readonly<
    Record<string, { readonly optionalDependencies?: Readonly<Record<string, string>> }>
  >;
}

// package.json is ours, and npm has read it before this runs.
const manifest = JSON.parse(read('package.json')) as Package;
const documents = [
  'README.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  ...globSync('docs/**/*.md', { cwd: root }),
];
const decisions = globSync('docs/adr/*.md', { cwd: root }).toSorted();

/** Read by the tests, the demo, the image script and the files in deploy/. */
const notForTheAgent = [
  'FLOTILLA_DEMO_NAME',
  'FLOTILLA_IMAGE',
  'FLOTILLA_PORT',
  'FLOTILLA_SECRET_SOURCE',
  'FLOTILLA_TEST_BUNDLE',
  'FLOTILLA_TEST_LONG',
];

describe('repository', () => {
  for (const { path, text } of generatedDocuments()) {
    it(`has ${path} as the code has it (npm run docs)`, () => {
      assert.equal(read(path), text);
    });
  }

  it('finds limits with their reasons, whatever their form', () => {
    const limits = limitsOf(
      'proxy/x.ts',
      '/** Why\n * so much. */\nexport const maxPartBytes: number = 64 * 1024 * 1024;\nconst maxItems = 1_000;\nlet x;\n',
    );
    assert.deepEqual(
      limits.map(({ name, value, meaning }) => [name, value, meaning]),
      [
        ['maxPartBytes', '64 MiB', 'Why so much.'],
        ['maxItems', '1,000', ''],
      ],
    );
  });

  it('gives a reason for each dependency, and for nothing else', () => {
    const reasons = [...read('docs/DEPENDENCIES.md').matchAll(/^\| `([^`]+)` \| \S/gm)].map(
      (match) => match[1],
    );
    const named = [manifest.dependencies, manifest.devDependencies, manifest.optionalDependencies].flatMap(
      Object.keys,
    );
    assert.deepEqual(reasons.toSorted(), named.toSorted());
  });

  it('pins every dependency to one version', () => {
    const { dependencies, devDependencies, optionalDependencies } = manifest;
    const all = Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies });
    assert.deepEqual(
      all.filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version)),
      [],
    );
  });

  it('locks the packages of every platform, without which npm ci refuses to install', () => {
    const { packages } = JSON.parse(read('package-lock.json')) as Lock;
    const missing = Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).filter(
        (name) =>
          packages[`${path}/node_modules/${name}`] === undefined &&
          packages[`node_modules/${name}`] === undefined,
      ),
    );
    assert.deepEqual(missing, []);
  });

  it('says one version everywhere', () => {
    assert.equal(agentVersion, manifest.version);
    assert.match(read('CHANGELOG.md'), new RegExp(`^## ${manifest.version.replaceAll('.', '\\.')}\\b`, 'm'));
  });

  it('has links in its documents that lead somewhere', () => {
    const broken = documents.flatMap((path) =>
      [...read(path).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)]
        .map((match) => match[1] ?? '')
        .filter((link) => !/^[a-z]+:/.test(link) && !existsSync(join(root, dirname(path), link)))
        .map((link) => `${path}: ${link}`),
    );
    assert.deepEqual(broken, []);
  });

  it('names only options that exist, in documents and deployment files', () => {
    const known = new Set(variables.map(({ name }) => name));
    for (const name of notForTheAgent) known.add(name);
    const files = [...documents, ...globSync('deploy/*', { cwd: root }), 'Dockerfile'];
    const unknown = files.flatMap((path) =>
      [...read(path).matchAll(/\b(?:FLOTILLA|AGENT|EDGE)_[A-Z_]*[A-Z]\b/g)]
        .map(([name]) => name)
        .filter((name) => !known.has(name))
        .map((name) => `${path}: ${name}`),
    );
    assert.deepEqual([...new Set(unknown)], []);
  });

  it('names only npm scripts that exist', () => {
    const scripts = Object.keys((JSON.parse(read('package.json')) as { readonly scripts: object }).scripts);
    const named = documents.flatMap((path) =>
      [...read(path).matchAll(/npm (?:run )([a-z:]+)/g)].map((match) => match[1]),
    );
    assert.deepEqual(
      [...new Set(named)].filter((name) => name !== undefined && !scripts.includes(name)),
      [],
    );
    assert.match(read('README.md'), /npm ci && npm run demo/);
    assert.match(read('README.md'), /npm ci && npm test/);
  });

  it('numbers its decisions without a gap, and says of each what was decided and at what price', () => {
    assert.ok(decisions.length > 0);
    for (const [index, path] of decisions.entries()) {
      assert.match(path, new RegExp(`adr/${String(index + 1).padStart(4, '0')}-[a-z0-9-]+\\.md$`));
      for (const part of ['Context', 'Decision', 'Consequences']) {
        assert.match(read(path), new RegExp(`^## ${part}$`, 'm'), `${path}: ${part}`);
      }
    }
  });
});
