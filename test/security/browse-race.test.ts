// Somebody inside a volume swaps a folder for a link to `/`, and to a folder beside the volume, while others browse it
// (attack A-51): nothing outside is read, written, renamed, removed or revealed.

import { deepEqual, equal, ok } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type BrowseClient,
  type BrowsedVolume,
  browseClient,
  createVolume,
  keptConnection,
} from '../support/browse.ts';
import { useAgent } from '../support/checks.ts';
import { eventually } from '../support/eventually.ts';
import type { RawAnswer } from '../support/raw-http.ts';
import { scaled } from '../support/scale.ts';

const secret = 'nobody inside may read this';
const inside = 'from inside';
/** What is at this path below `/` too, and has other content there. */
const systemFile = 'etc/passwd';
const swapper = fileURLToPath(new URL('../support/swap-links.ts', import.meta.url));
const clients = 4;

describe('browse while links are swapped', () => {
  const under = useAgent();

  it(`does ${scaled(2_000, 10_000)} actions and never leaves the volume`, async function () {
    this.timeout(scaled(60_000, 600_000));
    await using volume = await createVolume(under());
    await plant(volume);
    const handles = (): Promise<readonly string[]> => readdir(`/proc/${under().agent.pid}/fd`);
    const handlesBefore = (await handles()).length;
    const seen = new Map<string, number>();
    await using swaps = startSwapping(volume);
    await once(swaps.stdout, 'data');
    await Promise.all(
      Array.from({ length: clients }, async (_, at) => {
        await using connection = await keptConnection(under());
        const client = browseClient(connection, volume.name);
        for (let turn = at; turn < scaled(2_000, 10_000); turn += clients) {
          const [action, answer] = await act(client, turn);
          const kind = `${action} ${answer.status}`;
          seen.set(kind, (seen.get(kind) ?? 0) + 1);
          assertFromInside(action, answer, volume);
        }
      }),
    );
    equal((await swaps.end()) > 100, true, 'the swapping went on all the time');
    await assertOutside(volume);
    await eventually(async () =>
      ok((await handles()).length <= handlesBefore + clients, 'handles stay open'),
    );
    for (const action of ['get', 'ls', 'put', 'delete', 'rename'])
      ok(
        [200, 204].some((status) => (seen.get(`${action} ${status}`) ?? 0) > 0),
        JSON.stringify([...seen]),
      );
    // The links were met.
    ok((seen.get('get 400') ?? 0) > 0, JSON.stringify([...seen]));
  });
});

/** The same paths inside, beside the volume, and, as far as they are there, below `/`. */
async function plant(volume: BrowsedVolume): Promise<void> {
  const at = [
    [join(volume.data, 'd'), inside],
    [join(volume.folder, 'outside'), secret],
  ] as const;
  for (const [folder, content] of at) {
    await mkdir(join(folder, 'etc'), { recursive: true });
    for (const name of [systemFile, 'f', 'moved']) await writeFile(join(folder, name), content);
  }
}

function act(client: BrowseClient, turn: number): Promise<readonly [string, RawAnswer]> {
  const as = async (action: string, answer: Promise<RawAnswer>): Promise<readonly [string, RawAnswer]> => [
    action,
    await answer,
  ];
  switch (turn % 8) {
    case 0:
      return as('put', client.put('/d/etc', probeName, inside));
    case 1:
      return as('rename', client.rename(`/d/etc/${probeName}`, `/d/etc/${probeName}-2`));
    case 2:
      return as('delete', client.remove(`/d/etc/${probeName}-2`));
    case 3:
      return as('put', client.put('/d', 'f', inside));
    case 4:
      return as('ls', client.ls('/d'));
    case 5:
      return as('put', client.put(`/d/${probeName}-3`, 'f', inside));
    case 6:
      return as('get', client.get('/d/f'));
    default:
      return as('get', client.get(`/d/${systemFile}`));
  }
}

const probeName = `browse-race-${process.pid}`;

function assertFromInside(action: string, answer: RawAnswer, volume: BrowsedVolume): void {
  const body = answer.body.toString();
  ok(!body.includes(secret) && !body.includes(volume.folder), body);
  if (action === 'get' && answer.status === 200) equal(body, inside);
  if (action === 'ls' && answer.status === 200)
    for (const { Name } of JSON.parse(body) as { Name: string }[])
      ok(['etc', 'f', 'moved'].includes(Name) || Name.startsWith(probeName), `listed ${Name}`);
}

async function assertOutside(volume: BrowsedVolume): Promise<void> {
  const outside = join(volume.folder, 'outside');
  deepEqual((await readdir(volume.folder)).toSorted(), ['data', 'outside']);
  deepEqual((await readdir(outside)).toSorted(), ['etc', 'f', 'moved']);
  deepEqual(await readdir(join(outside, 'etc')), ['passwd']);
  for (const name of [systemFile, 'f', 'moved']) equal(await readFile(join(outside, name), 'utf8'), secret);
  for (const path of [`/etc/${probeName}`, `/etc/${probeName}-2`, `/${probeName}-3`, '/f'])
    await access(path).then(
      () => ok(false, `${path} was made`),
      () => undefined,
    );
  deepEqual(
    (await readdir(volume.data)).filter((name) => name.startsWith('.')),
    [],
    'no unfinished upload is left',
  );
}

interface Swapping extends AsyncDisposable {
  readonly stdout: NodeJS.ReadableStream;
  /** How often it swapped. Fails when it ended by itself. */
  end(): Promise<number>;
}

function startSwapping(volume: BrowsedVolume): Swapping {
  const targets = ['/', join(volume.folder, 'outside'), '../outside', '..'];
  const child = spawn(
    process.execPath,
    [swapper, join(volume.data, 'd'), join(volume.data, 'kept'), ...targets],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let printed = '';
  child.stdout.on('data', (text: Buffer) => {
    printed += text.toString();
  });
  const exited = once(child, 'exit');
  return {
    stdout: child.stdout,
    async end() {
      equal(child.exitCode, null, 'the swapping ended by itself');
      child.kill('SIGTERM');
      await exited;
      return Number(printed.trim().split('\n').at(-1));
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}
