// What Portainer sends of a stack, as recorded, and names that must never become a path, an argument or a variable.

import assert from 'node:assert/strict';
import { AgentError } from '../../errors.ts';
import { parseStackFiles } from './stack-file.ts';

/** As recorded from a server. */
const recorded = {
  ID: 0,
  Name: 'web',
  StackFileContent: '',
  DirEntries: [
    {
      Name: 'docker-compose.yml',
      Content: 'c2VydmljZXM6CiAgd2ViOgogICAgaW1hZ2U6IG5naW54OmFscGluZQo=',
      IsFile: true,
      Permissions: 420,
    },
  ],
  EntryFileName: 'docker-compose.yml',
  Namespace: 'default',
  Version: 0,
  RollbackTo: null,
  RegistryCredentials: null,
  PrePullImage: false,
  RePullImage: false,
  RetryDeploy: false,
  EdgeUpdateID: 0,
  SupportRelativePath: false,
  FilesystemPath: '',
  EnvVars: null,
  ReadyRePullImage: false,
};

function parse(changes: Readonly<Record<string, unknown>> = {}): ReturnType<typeof parseStackFiles> {
  return parseStackFiles(JSON.stringify({ ...recorded, ...changes }));
}

function file(name: unknown, changes: Readonly<Record<string, unknown>> = {}): unknown {
  return { Name: name, Content: 'YQ==', IsFile: true, Permissions: 420, ...changes };
}

describe('files of a stack', () => {
  it('are read as recorded', () => {
    assert.deepEqual(parse(), {
      project: 'edge_web',
      entry: ['docker-compose.yml'],
      entries: [
        {
          parts: ['docker-compose.yml'],
          content: Buffer.from('services:\n  web:\n    image: nginx:alpine\n'),
          mode: 0o644,
        },
      ],
      pull: false,
      variables: {},
    });
  });

  it('take folders, variables and a file in one text', () => {
    const folders = [
      file('./a//b.yml'),
      file('a', { IsFile: false, Permissions: 0o40755 }),
      file('.', { IsFile: false }),
    ];
    const parsed = parse({
      DirEntries: folders,
      EntryFileName: 'a/b.yml',
      EnvVars: [{ name: 'TAG', value: '1 2' }],
      RePullImage: true,
    });
    assert.deepEqual(
      parsed.entries.map(({ parts, mode }) => [parts.join('/'), mode]),
      [
        ['a/b.yml', 0o644],
        ['a', 0o755],
      ],
    );
    assert.deepEqual(parsed.variables, { TAG: '1 2' });
    assert.equal(parsed.pull, true);
    const inline = parse({ DirEntries: null, StackFileContent: 'services: {}\n' });
    assert.equal(inline.entries[0]?.content?.toString(), 'services: {}\n');
  });

  it('lose set-user-id', () => {
    const [only] = parse({ DirEntries: [file('docker-compose.yml', { Permissions: 0o104755 })] }).entries;
    assert.equal(only?.mode, 0o755);
  });

  const compose = recorded.DirEntries[0];
  const names = [
    '../agent_edge_key',
    'a/../../agent_edge_key',
    'a/..',
    '..',
    '.',
    '',
    '/etc/passwd',
    '//etc/passwd',
    'a\0b',
    'folder/',
    'x'.repeat(256),
    'a/'.repeat(1_100),
    7,
    null,
    ['a'],
    { name: 'a' },
  ];
  const attacks: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
    ...names.map(
      (name) =>
        [`the file ${JSON.stringify(name)?.slice(0, 40)}`, { DirEntries: [compose, file(name)] }] as const,
    ),
    ['a folder that leads up', { DirEntries: [compose, file('../x', { IsFile: false })] }],
    ['a compose file elsewhere', { EntryFileName: '../../etc/shadow' }],
    ['a compose file that is absolute', { EntryFileName: '/etc/shadow' }],
    ['a compose file that is not sent', { EntryFileName: 'other.yml' }],
    ['a compose file that is a folder', { DirEntries: [file('a', { IsFile: false })], EntryFileName: 'a' }],
    ['one file twice', { DirEntries: [compose, compose] }],
    ['a file that is a folder too', { DirEntries: [compose, file('a'), file('a/b')] }],
    ['content that is not base64', { DirEntries: [compose, file('a', { Content: '../..' })] }],
    ['too many files', { DirEntries: Array.from({ length: 2_001 }, (_, at) => file(`f${at}`)) }],
    ['files that are no list', { DirEntries: 'a' }],
    ['an empty name', { Name: '' }],
    ['a name that is an option', { Name: '--host=tcp://evil' }],
    ['a name with a slash', { Name: 'a/b' }],
    ['a name with a line', { Name: 'a\nb' }],
    ['a name that is no text', { Name: 7 }],
    ['a library to load', { EnvVars: [{ name: 'LD_PRELOAD', value: './x.so' }] }],
    ['another PATH', { EnvVars: [{ name: 'PATH', value: '.' }] }],
    ['another engine', { EnvVars: [{ name: 'DOCKER_HOST', value: 'tcp://evil' }] }],
    ['a variable with an equals sign', { EnvVars: [{ name: 'A=B', value: '' }] }],
    ['a variable with a NUL', { EnvVars: [{ name: 'A', value: 'a\0b' }] }],
  ];
  for (const [what, changes] of attacks)
    it(`refuse ${what}`, () => {
      assert.throws(() => parse(changes), { code: 'protocol-violation' });
    });

  for (const body of ['', 'null', '[]', '"x"', '{}', '<html>Login</html>', '{"message":"no"}'])
    it(`are not found in ${JSON.stringify(body)}: another time will do`, () => {
      assert.throws(() => parseStackFiles(body), { code: 'unavailable' });
    });

  it('end in a clear error or in paths below the folder, whatever is sent', () => {
    const random = seeded(5);
    const odd = [
      '..',
      '.',
      '',
      'a',
      'b.yml',
      '/',
      '\0',
      '…',
      'docker-compose.yml',
      '\\..',
      7,
      null,
      true,
      [],
      {},
    ];
    const any = (): unknown => odd[Math.floor(random() * odd.length)];
    const oddFile = (): unknown => {
      const name = Array.from({ length: 1 + Math.floor(random() * 4) }, any).join('/');
      const content = random() < 0.9 ? 'YQ==' : any();
      return file(random() < 0.8 ? name : any(), { IsFile: random() < 0.8, Content: content });
    };
    const rounds = Array.from({ length: 1_000 }, () =>
      isRead({ DirEntries: [compose, oddFile()], [random() < 0.1 ? 'Name' : 'ID']: any() }),
    );
    const read = rounds.filter(Boolean).length;
    assert.equal(read > 50 && read < 950, true, `${read} of 1000 were read`);
  });
});

/** False: refused with an error of ours. */
function isRead(changes: Readonly<Record<string, unknown>>): boolean {
  try {
    const parts = parse(changes).entries.flatMap((entry) => entry.parts);
    assert.deepEqual(
      parts.filter((part) => ['', '.', '..'].includes(part) || /[/\0]/.test(part)),
      [],
    );
    return true;
  } catch (error) {
    if (error instanceof AgentError) return false;
    throw error;
  }
}

/** Park and Miller's. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}
