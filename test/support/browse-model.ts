// What browsing a volume must do, as a model in memory: a tree of files, folders and links, and the five actions on it.
// Written from the contract, without a line of the agent's. Names are byte strings: one character is one byte.

export type ModelNode =
  | { readonly kind: 'file'; content: string }
  | { readonly kind: 'folder'; readonly children: Map<string, ModelNode> }
  | { readonly kind: 'link'; readonly target: string };

export type Folder = Extract<ModelNode, { kind: 'folder' }>;

/** `refused` is a 400: a link that leads out. `failed` is a 500: what a file system refuses. */
export type Outcome<T> =
  | { readonly kind: 'done'; readonly value: T }
  | { readonly kind: 'refused' | 'failed' };

export interface ModelEntry {
  readonly name: string;
  readonly isFolder: boolean;
  /** Of files and links; a folder's size is the file system's. */
  readonly size: number | undefined;
}

export interface BrowseModel {
  readonly root: Folder;
  list(path: readonly string[]): Outcome<readonly ModelEntry[]>;
  get(path: readonly string[]): Outcome<string>;
  put(folder: readonly string[], name: string, content: string): Outcome<undefined>;
  remove(path: readonly string[]): Outcome<undefined>;
  rename(from: readonly string[], to: readonly string[]): Outcome<undefined>;
}

class Refusal extends Error {
  readonly kind: 'refused' | 'failed';
  constructor(kind: 'refused' | 'failed') {
    super(kind);
    this.kind = kind;
  }
}

const maxLinks = 40;

export function createBrowseModel(): BrowseModel {
  const root: Folder = { kind: 'folder', children: new Map() };

  /** Walks with a stack of folders, so that `..` is the folder above the one that was really reached. */
  function find(path: readonly string[], make: boolean): ModelNode {
    const stack: Folder[] = [root];
    const left = [...path];
    let at: ModelNode = root;
    let links = 0;
    for (let part = left.shift(); part !== undefined; part = left.shift()) {
      if (part === '..') {
        asFolder(at);
        stack.pop();
        at = stack.at(-1) ?? refuse('refused');
        continue;
      }
      const child: ModelNode = childOf(at, part, make);
      if (child.kind === 'link') {
        links += 1;
        left.unshift(...targetParts(child.target, links));
        continue;
      }
      at = child;
      if (child.kind === 'folder') stack.push(child);
    }
    return at;
  }

  function parent(path: readonly string[]): { readonly folder: Folder; readonly name: string } {
    const name = path.at(-1);
    if (name === undefined) return refuse('failed');
    return { folder: asFolder(find(path.slice(0, -1), false)), name };
  }

  return {
    root,
    list: (path) =>
      outcome(() => [...asFolder(find(path, false)).children].map(([name, node]) => entryOf(name, node))),
    get: (path) =>
      outcome(() => {
        const node = find(path, false);
        if (node.kind !== 'file') return refuse('failed');
        return node.content;
      }),
    put: (path, name, content) =>
      outcome(() => {
        const folder = asFolder(find(path, true));
        if (folder.children.get(name)?.kind === 'folder') refuse('failed');
        folder.children.set(name, { kind: 'file', content });
        return undefined;
      }),
    remove: (path) =>
      outcome(() => {
        const { folder, name } = parent(path);
        const node = folder.children.get(name);
        if (node === undefined || (node.kind === 'folder' && node.children.size > 0)) refuse('failed');
        folder.children.delete(name);
        return undefined;
      }),
    rename: (from, to) =>
      outcome(() => {
        const [source, target] = [parent(from), parent(to)];
        const moved = source.folder.children.get(source.name);
        const replaced = target.folder.children.get(target.name);
        if (moved === undefined) return refuse('failed');
        if (moved === replaced) return undefined;
        if (replaced?.kind === 'folder') refuse('failed');
        if (moved.kind === 'folder' && (replaced !== undefined || isBelow(target.folder, moved)))
          refuse('failed');
        source.folder.children.delete(source.name);
        target.folder.children.set(target.name, moved);
        return undefined;
      }),
  };
}

function refuse(kind: 'refused' | 'failed'): never {
  throw new Refusal(kind);
}

function targetParts(target: string, links: number): readonly string[] {
  if (links > maxLinks) refuse('failed');
  if (target.startsWith('/')) refuse('refused');
  return target.split('/').filter((part) => part !== '' && part !== '.');
}

function childOf(at: ModelNode, name: string, make: boolean): ModelNode {
  const folder = asFolder(at);
  const found = folder.children.get(name);
  if (found !== undefined) return found;
  if (!make) refuse('failed');
  const made: Folder = { kind: 'folder', children: new Map() };
  folder.children.set(name, made);
  return made;
}

function asFolder(node: ModelNode): Folder {
  if (node.kind === 'folder') return node;
  return refuse('failed');
}

function isBelow(node: ModelNode, top: Folder): boolean {
  return (
    node === top ||
    [...top.children.values()].some((child) => child.kind === 'folder' && isBelow(node, child))
  );
}

function entryOf(name: string, node: ModelNode): ModelEntry {
  const size =
    node.kind === 'file' ? node.content.length : node.kind === 'link' ? node.target.length : undefined;
  return { name, isFolder: node.kind === 'folder', size };
}

function outcome<T>(act: () => T): Outcome<T> {
  try {
    return { kind: 'done', value: act() };
  } catch (error) {
    if (error instanceof Refusal) return { kind: error.kind };
    throw error;
  }
}
