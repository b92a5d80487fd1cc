// Images without a registry: made from what is on this machine, imported into an engine.
// The base image has the name that the Dockerfile's FROM uses, so the real Dockerfile builds with it.

import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';

import { runCommand } from './command.ts';
import type { LabNode } from './node.ts';

export const busyboxImage = 'busybox:lab';
export const nodeImage = 'node:26-bookworm-slim';

export type LabImage = typeof busyboxImage | typeof nodeImage;

const importTimeoutMs = 120_000;

/** Imports the images that the engine does not have yet. */
export async function importImages(node: LabNode, images: readonly LabImage[]): Promise<void> {
  for (const image of images) {
    const present = await node.docker(['image', 'ls', '--quiet', image]);
    if (present.trim() !== '') continue;
    const { file, changes } = await prepareImage(image);
    const options = changes.flatMap((change) => ['--change', change]);
    await node.docker(['import', ...options, file, image], { timeoutMs: importTimeoutMs });
  }
}

interface PreparedImage {
  readonly file: string;
  readonly changes: readonly string[];
}

/** Makes the image's tar file, once per version of its contents. Nodes that start together share one making. */
export function prepareImage(image: LabImage): Promise<PreparedImage> {
  const running = preparing.get(image) ?? (image === busyboxImage ? prepareBusybox() : prepareNode());
  preparing.set(image, running);
  return running;
}

const preparing = new Map<LabImage, Promise<PreparedImage>>();

const path = 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

async function prepareBusybox(): Promise<PreparedImage> {
  const busybox = await findBusybox();
  const file = await cachedTar('busybox', [busybox], (root) => addBusybox(root, busybox));
  return { file, changes: [path, 'CMD ["sh"]'] };
}

async function prepareNode(): Promise<PreparedImage> {
  const busybox = await findBusybox();
  const node = realpathSync(process.execPath);
  const libraries = await librariesOf(node);
  const certificates = '/etc/ssl/certs/ca-certificates.crt';
  const extra = existsSync(certificates) ? [certificates] : [];
  const file = await cachedTar('node', [busybox, node, ...libraries, ...extra], async (root) => {
    await addBusybox(root, busybox);
    for (const source of [...libraries, ...extra]) copyInto(root, source, source);
    copyInto(root, node, '/usr/local/bin/node');
    chmodSync(join(root, 'usr/local/bin/node'), 0o755);
  });
  return { file, changes: [path, `ENV NODE_VERSION=${process.versions.node}`, 'CMD ["node"]'] };
}

async function cachedTar(
  name: string,
  sources: readonly string[],
  fill: (root: string) => Promise<void>,
): Promise<string> {
  const cache = join(tmpdir(), 'flotilla-lab-cache');
  mkdirSync(cache, { recursive: true, mode: 0o700 });
  const file = join(cache, `${name}-${fingerprintOf(sources)}.tar`);
  if (existsSync(file)) return file;
  const work = mkdtempSync(join(cache, 'making-'));
  try {
    const root = join(work, 'root');
    mkdirSync(root);
    await fill(root);
    const made = join(work, 'image.tar');
    await runCommand(['tar', '--numeric-owner', '--owner=0', '--group=0', '-C', root, '-cf', made, '.']);
    // Others may be making the same file: whoever comes last replaces like with like.
    renameSync(made, file);
    return file;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Changes when a source or the way images are made changes; the recipe's number is raised by hand. */
function fingerprintOf(sources: readonly string[]): string {
  const recipe = 1;
  const facts = sources.map((source) => {
    const { size, mtimeMs } = statSync(source);
    return `${source} ${size} ${mtimeMs}`;
  });
  return createHash('sha256')
    .update(`${recipe}\n${facts.join('\n')}`)
    .digest('hex')
    .slice(0, 16);
}

async function addBusybox(root: string, busybox: string): Promise<void> {
  for (const folder of ['bin', 'etc', 'root', 'usr/bin', 'var/lib', 'data', 'tmp']) {
    mkdirSync(join(root, folder), { recursive: true });
  }
  chmodSync(join(root, 'tmp'), 0o1777);
  copyInto(root, busybox, '/bin/busybox');
  chmodSync(join(root, 'bin/busybox'), 0o755);
  const applets = (await runCommand([busybox, '--list'])).stdout.split('\n').filter(Boolean);
  for (const applet of applets) {
    if (applet !== 'busybox') symlinkSync('busybox', join(root, 'bin', applet));
  }
  symlinkSync('/bin/env', join(root, 'usr/bin/env'));
  writeFileSync(
    join(root, 'etc/passwd'),
    'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n',
  );
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\nnogroup:x:65534:\n');
  writeFileSync(join(root, 'etc/nsswitch.conf'), 'hosts: files dns\n');
}

/** A static busybox: a dynamic one would not start in an image without libraries. */
async function findBusybox(): Promise<string> {
  const { stdout } = await runCommand(['sh', '-c', 'command -v busybox'], { allowFailure: true });
  if (stdout.trim() === '') throw new Error('busybox is missing: apt-get install busybox-static');
  const busybox = realpathSync(stdout.trim());
  if ((await librariesOf(busybox)).length > 0) {
    throw new Error(`${busybox} is not static: apt-get install busybox-static`);
  }
  return busybox;
}

/** The shared libraries and the loader, by the paths that the binary looks for. Empty for a static binary. */
async function librariesOf(binary: string): Promise<readonly string[]> {
  const { stdout } = await runCommand(['ldd', binary], { allowFailure: true });
  return [...stdout.matchAll(/(\/\S+) \(0x/g)].flatMap((match) => match[1] ?? []);
}

function copyInto(root: string, source: string, target: string): void {
  mkdirSync(join(root, dirname(target)), { recursive: true });
  copyFileSync(realpathSync(source), join(root, dirname(target), basename(target)));
}
