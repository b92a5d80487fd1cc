// The Docker sockets over a real file system: they come and go with the members, survive what others do to the folder,
// and trust no folder that others may change.

import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { once } from 'node:events';
import {
  chmod,
  chown,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../../test/support/eventually.ts';
import { createViews, memberOf, type Views } from '../../test/support/fake-peer.ts';
import { connectRaw, requestRaw } from '../../test/support/raw-http.ts';
import type { ClusterView } from '../cluster/cluster.ts';
import type { SwarmRole } from '../docker/docker.ts';
import { answer } from '../exchange.ts';
import type { LogFields, Logger } from '../log.ts';
import { silentLogger } from '../log.ts';
import { createListener } from './server.ts';
import { createSockets, type Sockets, type SocketsOptions } from './sockets.ts';

const never = new AbortController().signal;

interface Bench {
  readonly sockets: Sockets;
  readonly views: Views;
  readonly warnings: string[];
}

describe('Docker sockets', () => {
  let root: string;
  let dir: string;
  const started: Sockets[] = [];
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'sock-'));
    dir = join(root, 'run', 'flotilla');
  });
  afterEach(async () => {
    for (const one of started.splice(0)) await one.stop(never);
    await rm(root, { recursive: true, force: true });
  });

  const bench = (
    options: Partial<SocketsOptions> = {},
    seen: (view: ClusterView) => ClusterView = (view) => view,
  ): Bench => {
    const views = createViews([memberOf({ nodeName: 'n2' })], 'n1');
    const warnings: string[] = [];
    const log: Logger = {
      ...silentLogger,
      warn: (event: string, fields?: LogFields) => void warnings.push(`${event}: ${JSON.stringify(fields)}`),
    };
    const sockets = createSockets(
      {
        ...views,
        view: () => seen(views.view()),
        createListener: (handle) =>
          createListener(
            { handle, isHijack: () => false, refuse: () => undefined, onBadRequest: () => undefined },
            { keepAliveMs: 120_000 },
          ),
        clusterGate: {
          handle: (exchange) => answer(exchange, { status: 200, headers: [], body: 'cluster' }),
        },
        nodeGate: {
          handle: (exchange, { engineId }) => {
            // `/hang` is a request that goes on.
            if (exchange.req.url !== '/hang') answer(exchange, { status: 200, headers: [], body: engineId });
          },
        },
        log,
      },
      {
        where: 'all',
        dir,
        mode: 0o660,
        group: 0,
        hostRoot: root,
        dockerSocket: join(root, 'engine.sock'),
        hasSecret: true,
        drainMs: 5_000,
        checkIntervalMs: 20,
        ...options,
      },
    );
    started.push(sockets);
    return { sockets, views, warnings };
  };
  const ask = async (...path: readonly string[]): Promise<string> =>
    (await requestRaw({ kind: 'unix', path: join(dir, ...path) }, { path: '/' })).body.toString();
  const nodes = async (): Promise<readonly string[]> => (await readdir(join(dir, 'nodes'))).toSorted();

  it('lead to the cluster and to each node, with their mode and group', async () => {
    const { sockets } = bench({ mode: 0o600, group: process.getgid?.() });
    await sockets.start(never);
    equal(await ask('docker.sock'), 'cluster');
    equal(await ask('nodes', 'n1.sock'), 'engine-n1');
    equal(await ask('nodes', 'n2.sock'), 'engine-n2');
    for (const path of ['docker.sock', 'nodes/n1.sock', 'nodes/n2.sock']) {
      const { mode, gid } = await lstat(join(dir, path));
      deepEqual([mode & 0o777, gid], [0o600, process.getgid?.()]);
    }
    await sockets.stop(never);
    deepEqual([await readdir(dir), await nodes()], [['nodes'], []]);
  });

  it('are in a folder that users of the group can pass, and only its owner can change', async () => {
    const before = process.umask(0o077);
    try {
      const { sockets } = bench();
      await sockets.start(never);
      equal((await lstat(dir)).mode & 0o777, 0o755);
      equal((await lstat(join(dir, 'nodes'))).mode & 0o777, 0o755);
    } finally {
      process.umask(before);
    }
  });

  it('come and go with the members, and connections to a gone one end', async () => {
    const { sockets, views } = bench();
    await sockets.start(never);
    await using connection = await connectRaw({ kind: 'unix', path: join(dir, 'nodes', 'n2.sock') });
    await connection.request({ path: '/hang' });
    views.change([memberOf({ nodeName: 'n3' })]);
    await connection.rest();
    await eventually(async () => deepEqual(await nodes(), ['n1.sock', 'n3.sock']));
    views.change([memberOf({ nodeName: 'n2' }), memberOf({ nodeName: 'n3' })]);
    await eventually(async () => equal(await ask('nodes', 'n2.sock'), 'engine-n2'));
  });

  it('follow the promotion and demotion of this node where only managers have them', async () => {
    let role: SwarmRole = 'worker';
    const withRole = (view: ClusterView): ClusterView => ({
      ...view,
      self: { ...view.self, record: { ...view.self.record, role } },
    });
    const { sockets, views } = bench({ where: 'managers' }, withRole);
    await sockets.start(never);
    equal(await lstat(dir).catch(() => 'none'), 'none');
    role = 'manager';
    views.change([]);
    await eventually(async () => equal(await ask('docker.sock'), 'cluster'));
    deepEqual(await nodes(), ['n1.sock']);
    role = 'worker';
    views.change([]);
    await eventually(async () => deepEqual([await readdir(dir), await nodes()], [['nodes'], []]));
  });

  it('lead to the new engine when a name passes to another one', async () => {
    const { sockets, views } = bench();
    await sockets.start(never);
    await using connection = await connectRaw({ kind: 'unix', path: join(dir, 'nodes', 'n2.sock') });
    await connection.request({ path: '/hang' });
    views.change([memberOf({ nodeName: 'n2', engineId: 'new' })]);
    await connection.rest();
    await eventually(async () => equal(await ask('nodes', 'n2.sock'), 'new'));
  });

  it('stay the same while a member is the same engine with another record', async () => {
    const { sockets, views } = bench();
    await sockets.start(never);
    const before = await lstat(join(dir, 'nodes', 'n2.sock'));
    views.change([memberOf({ nodeName: 'n2', address: '127.0.0.2' }), memberOf({ nodeName: 'n3' })]);
    await eventually(async () => equal((await nodes()).length, 3));
    equal((await lstat(join(dir, 'nodes', 'n2.sock'))).ino, before.ino);
  });

  it('are made anew when somebody removed them', async () => {
    const { sockets } = bench();
    await sockets.start(never);
    await rm(dir, { recursive: true });
    await eventually(async () => equal(await ask('docker.sock'), 'cluster'));
    await eventually(async () => equal((await nodes()).length, 2));
  });

  it('are left to a newer agent, for as long as it has them', async () => {
    const { sockets, views } = bench();
    await sockets.start(never);
    const path = join(dir, 'docker.sock');
    const newer = await listenAt(path, 'newer');
    views.change([memberOf({ nodeName: 'n3' })]);
    // A round has passed.
    await eventually(async () => deepEqual(await nodes(), ['n1.sock', 'n3.sock']));
    equal(await greetingOf(path), 'newer');
    await rm(path);
    await eventually(async () => equal(await ask('docker.sock'), 'cluster'));
    const newest = await listenAt(path, 'newest');
    await sockets.stop(never);
    equal(await greetingOf(path), 'newest');
    newer.close();
    newest.close();
  });

  it('replace what a killed agent left, and leave all other files', async () => {
    await mkdir(join(dir, 'nodes', '.sAbCdEf'), { recursive: true });
    await mkdir(join(dir, '.sAbCdEf'));
    await writeFile(join(dir, '.sAbCdEf', 's'), '');
    await mkdir(join(dir, 'nodes', '.ssh'));
    await writeFile(join(dir, 'nodes', 'notes.sock'), 'a file');
    for (const stale of ['docker.sock', 'nodes/n2.sock', 'nodes/gone.sock'])
      (await listenAt(join(dir, stale), '')).close();
    const { sockets, warnings } = bench();
    await sockets.start(never);
    deepEqual(await nodes(), ['.ssh', 'n1.sock', 'n2.sock', 'notes.sock']);
    deepEqual((await readdir(dir)).toSorted(), ['docker.sock', 'nodes']);
    equal(await ask('docker.sock'), 'cluster');
    deepEqual(warnings, []);
  });

  it('say once what is in their place, and take it when it is free', async () => {
    await mkdir(dir, { recursive: true });
    await symlink('/var/run/docker.sock', join(dir, 'docker.sock'));
    const { sockets, warnings } = bench();
    await sockets.start(never);
    equal(await ask('nodes', 'n1.sock'), 'engine-n1');
    ok((await lstat(join(dir, 'docker.sock'))).isSymbolicLink());
    await rm(join(dir, 'docker.sock'));
    await eventually(async () => equal(await ask('docker.sock'), 'cluster'));
    equal(warnings.length, 1);
    match(warnings[0] ?? '', /something is there that is no socket/);
  });

  it("never take the place of the engine's own socket", async () => {
    await mkdir(dir, { recursive: true });
    const path = join(dir, 'docker.sock');
    const engine = await listenAt(path, 'engine');
    const { sockets, warnings } = bench({ dockerSocket: path });
    await sockets.start(never);
    equal(await greetingOf(path), 'engine');
    match(warnings.join(), /engine's own socket/);
    engine.close();
  });

  it('are not made in a folder that others own, may write to, or have put a link for', async () => {
    const cases: readonly (readonly [RegExp, () => Promise<unknown>])[] = [
      [/others than its owner may write to it \(mode 777\)/, () => chmod(dir, 0o777)],
      [/others than its owner may write to it \(mode 775\)/, () => chmod(dir, 0o775)],
      [/others than its owner may write/, async () => chmod(await made(join(dir, 'nodes')), 0o777)],
      [/it is no folder/, () => rm(dir, { recursive: true }).then(() => symlink(tmpdir(), dir))],
    ];
    // Only root can give a folder away.
    const giveAway = [/belongs to another user \(65534\)/, () => chown(dir, 65_534, 0)] as const;
    for (const [reason, prepare] of process.geteuid?.() === 0 ? [...cases, giveAway] : cases) {
      await rm(dir, { recursive: true, force: true });
      await made(dir);
      await prepare();
      const { sockets, warnings } = bench();
      await sockets.start(never);
      equal(warnings.length, 1);
      match(warnings[0] ?? '', reason);
      await sockets.stop(never);
      equal(await lstat(join(dir, 'docker.sock')).catch(() => undefined), undefined);
    }
  });

  it('do not keep the agent from serving, and come when the group does', async () => {
    const { sockets, warnings } = bench({ group: 'flotilla' });
    await sockets.start(never);
    match(warnings.join(), /find group flotilla/);
    await made(join(root, 'etc'));
    await writeFile(join(root, 'etc', 'group'), 'root:x:0:\nflotilla-x:x:7:\nflotilla:x:4321:\n');
    if (process.geteuid?.() === 0) {
      await eventually(async () => equal((await lstat(join(dir, 'docker.sock'))).gid, 4_321));
      equal(await ask('docker.sock'), 'cluster');
    }
    equal(warnings.length, 1);
  });

  it("take the group of the engine's socket, and the host's folder where it is mounted", async () => {
    const engine = createServer().listen(join(root, 'engine.sock'));
    await once(engine, 'listening');
    const gid = process.geteuid?.() === 0 ? 4_321 : (process.getgid?.() ?? 0);
    await chown(join(root, 'engine.sock'), -1, gid);
    await made(join(root, 'run'));
    const { sockets } = bench({ dir: undefined, group: undefined });
    await sockets.start(never);
    equal((await lstat(join(root, 'run', 'flotilla', 'docker.sock'))).gid, gid);
    engine.close();
  });

  it('let connections end in their time when they drain, and none longer than that', async () => {
    const { sockets } = bench();
    await sockets.start(never);
    await using connection = await connectRaw({ kind: 'unix', path: join(dir, 'nodes', 'n1.sock') });
    await connection.request({ path: '/hang' });
    await eventually(async () => equal(await ask('nodes', 'n1.sock'), 'engine-n1'));
    const deadline = new AbortController();
    const drained = sockets.drain(deadline.signal);
    await eventually(async () => deepEqual(await nodes(), []));
    equal(connection.socket.readyState, 'open');
    deadline.abort();
    await drained;
    await connection.rest();
  });

  it('warn when every user of the node may open them', async () => {
    const { sockets, warnings } = bench({ mode: 0o666 });
    await sockets.start(never);
    match(warnings.join(), /every user of this node/);
  });
});

async function made(path: string): Promise<string> {
  await mkdir(path, { recursive: true });
  return path;
}

/** Somebody else's socket, moved into place as an agent does: its end leaves the file. */
async function listenAt(path: string, greeting: string): Promise<Server> {
  const server = createServer((socket) => socket.end(greeting)).listen(`${path}.new`);
  await once(server, 'listening');
  await rename(`${path}.new`, path);
  return server;
}

async function greetingOf(path: string): Promise<string> {
  await using connection = await connectRaw({ kind: 'unix', path });
  return (await connection.rest()).toString();
}
