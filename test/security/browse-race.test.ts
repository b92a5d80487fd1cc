// Somebody inside a volume swaps a folder for a link to `/`, and to a folder beside the volume, while others browse it
// (attack A-51): nothing outside is read, written, renamed, removed or revealed.

import { deepEqual, equal, ok } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, type FileHandle, mkdir, open, readdir, readFile, writeFile } from 'node:fs/promises';
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
/** A listing that holds it is one of the outside. */
const onlyOutside = 'only-outside';
/** On both sides, one of each for every client: inside they come back for each turn, outside nobody may touch them. */
const [renamed, replaced, removed] = ['from', 'to', 'gone'] as const;
/** Folders that both sides have. */
const folders = ['', 'etc'] as const;

describe('browse while links are swapped', () => {
  const under = useAgent();

  it(`does ${scaled(1_000, 10_000)} actions and never leaves the volume`, async function () {
    this.timeout(scaled(120_000, 600_000));
    await using volume = await createVolume(under());
    await plant(volume);
    await using held = await open(join(volume.data, 'd'));
    const handles = (): Promise<readonly string[]> => readdir(`/proc/${under().agent.pid}/fd`);
    const handlesBefore = (await handles()).length;
    const seen = new Map<string, number>();
    await using swaps = startSwapping(volume);
    await once(swaps.stdout, 'data');
    // All end before the volume goes, so that the first failure is what is told.
    const ends = await Promise.allSettled(
      Array.from({ length: clients }, async (_, at) => {
        await using connection = await keptConnection(under());
        const client = browseClient(connection, volume.name);
        for (let turn = at; turn < scaled(1_000, 10_000); turn += clients) {
          const [action, answer] = await act(client, turn, at, held);
          const kind = `${action} ${answer.status}`;
          seen.set(kind, (seen.get(kind) ?? 0) + 1);
          assertFromInside(action, answer, volume);
        }
      }),
    );
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
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
    // The links were met, by each action.
    for (const action of ['get', 'ls', 'put', 'delete', 'rename'])
      ok((seen.get(`${action} 400`) ?? 0) > 0, JSON.stringify([...seen]));
  });
});

const ownNames = Array.from({ length: clients }, (_, at) =>
  [renamed, replaced, removed].map((name) => `${name}-${at}`),
).flat();

/** The same paths inside, beside the volume, and, as far as they are there, below `/`; and one outside alone. */
async function plant(volume: BrowsedVolume): Promise<void> {
  const at = [
    [join(volume.data, 'd'), inside, []],
    [join(volume.folder, 'outside'), secret, [onlyOutside]],
  ] as const;
  for (const [folder, content, more] of at) {
    await mkdir(join(folder, 'etc'), { recursive: true });
    for (const name of [systemFile, 'f']) await writeFile(join(folder, name), content);
    for (const below of folders)
      for (const name of [...ownNames, ...more]) await writeFile(join(folder, below, name), content);
  }
}

/** `held` is the folder inside, which has no path while it is swapped. */
async function act(
  client: BrowseClient,
  turn: number,
  at: number,
  held: FileHandle,
): Promise<readonly [string, RawAnswer]> {
  const round = Math.floor(turn / clients);
  const below = folders[Math.floor(round / 10) % 2] === 'etc' ? '/etc' : '';
  const own = (name: string): string => `/d${below}/${name}-${at}`;
  const bringBack = (name: string): Promise<void> =>
    writeFile(`/proc/self/fd/${held.fd}${below}/${name}-${at}`, inside);
  switch (round % 10) {
    case 0:
      return ['put', await client.put('/d/etc', `${probeName}-${at}`, inside)];
    case 1:
      return ['rename', await client.rename(`/d/etc/${probeName}-${at}`, `/d/etc/${probeName}-${at}-2`)];
    case 2:
      return ['delete', await client.remove(`/d/etc/${probeName}-${at}-2`)];
    case 3:
      return ['put', await client.put('/d', 'f', inside)];
    case 4:
      return ['ls', await client.ls(`/d${below}`)];
    case 5:
      return ['put', await client.put(`/d/${probeName}-3`, 'f', inside)];
    case 6:
      return ['get', await client.get('/d/f')];
    case 7:
      await bringBack(renamed);
      return ['rename', await client.rename(own(renamed), own(replaced))];
    case 8:
      await bringBack(removed);
      return ['delete', await client.remove(own(removed))];
    default:
      return ['get', await client.get(`/d/${systemFile}`)];
  }
}

const probeName = `browse-race-${process.pid}`;

function assertFromInside(action: string, answer: RawAnswer, volume: BrowsedVolume): void {
  const body = answer.body.toString();
  ok(!body.includes(secret) && !body.includes(volume.folder), body);
  if (action === 'get' && answer.status === 200) equal(body, inside);
  if (action === 'ls' && answer.status === 200)
    for (const { Name } of JSON.parse(body) as { Name: string }[]) ok(isFromInside(Name), `listed ${Name}`);
}

function isFromInside(name: string): boolean {
  if (['etc', 'f', 'passwd', ...ownNames].includes(name)) return true;
  // What is being made: probes of ours, and files on their way in.
  return name.startsWith(probeName) || /^\.flotilla-upload-[0-9a-f]{16}$/.test(name);
}

async function assertOutside(volume: BrowsedVolume): Promise<void> {
  const outside = join(volume.folder, 'outside');
  deepEqual((await readdir(volume.folder)).toSorted(), ['data', 'outside']);
  const both = [...ownNames, onlyOutside];
  deepEqual((await readdir(outside)).toSorted(), [...both, 'etc', 'f'].toSorted());
  deepEqual((await readdir(join(outside, 'etc'))).toSorted(), [...both, 'passwd'].toSorted());
  const names = [systemFile, 'f', ...folders.flatMap((below) => both.map((name) => join(below, name)))];
  for (const name of names) equal(await readFile(join(outside, name), 'utf8'), secret, name);
  const probes = ['', '-2'].flatMap((end) =>
    Array.from({ length: clients }, (_, at) => `/etc/${probeName}-${at}${end}`),
  );
  for (const path of [...probes, `/${probeName}-3`, '/f'])
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
  // Not its exit: what it printed may come after that.
  const ended = once(child, 'close');
  return {
    stdout: child.stdout,
    async end() {
      equal(child.exitCode, null, 'the swapping ended by itself');
      child.kill('SIGTERM');
      await ended;
      return Number(printed.trim().split('\n').at(-1));
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
