// The routes of the fake engine. Anything that is not in the table is answered as an engine answers it: page not found.

import type { Exchange } from './exchange.ts';
import { type Command, serveH2c, serveHijack } from './hijack.ts';
import {
  containerInspect,
  containerSummary,
  engineInfo,
  engineVersion,
  type FakeContainer,
  type FakeEngineState,
  swarmNode,
} from './model.ts';
import { countUpload, type Feeds, followEvents, followLogs, pull, waitForExit } from './streams.ts';

export interface RouteContext {
  readonly exchange: Exchange;
  readonly state: FakeEngineState;
  readonly feeds: Feeds;
  readonly execs: Map<string, FakeExec>;
  /** The variable part of the path, decoded. */
  readonly name: string;
}

export interface FakeExec {
  readonly containerId: string;
  readonly command: Command;
  readonly tty: boolean;
}

type Handler = (context: RouteContext) => Promise<void>;

export function findRoute(method: string, path: string): { handle: Handler; name: string } | undefined {
  // An engine matches on the decoded path, and its variables take slashes too.
  const decoded = decode(path);
  for (const [methods, pattern, handle] of routes) {
    const match = pattern.exec(decoded);
    if (match !== null && methods.split(' ').includes(method)) return { handle, name: match[1] ?? '' };
  }
  return undefined;
}

const routes: readonly (readonly [string, RegExp, Handler])[] = [
  ['GET HEAD', /^\/_ping$/, ping],
  ['GET', /^\/version$/, ({ exchange }) => exchange.answer(200, engineVersion(exchange.facts))],
  ['GET', /^\/info$/, info],
  ['GET', /^\/events$/, ({ exchange, feeds }) => followEvents(exchange, feeds)],
  ['GET', /^\/containers\/json$/, listContainers],
  ['POST', /^\/containers\/create$/, createContainer],
  ['GET', /^\/containers\/(.*)\/json$/, withContainer(inspectContainer)],
  ['GET', /^\/containers\/(.*)\/logs$/, withContainer(logs)],
  ['POST', /^\/containers\/(.*)\/wait$/, withContainer(wait)],
  ['POST', /^\/containers\/(.*)\/attach$/, withContainer(attach)],
  ['POST', /^\/containers\/(.*)\/exec$/, withContainer(createExec)],
  ['POST', /^\/containers\/(.*)\/(?:start|stop|restart|kill|pause|unpause)$/, withContainer(noContent)],
  ['HEAD GET', /^\/containers\/(.*)\/archive$/, withContainer(getArchive)],
  ['PUT', /^\/containers\/(.*)\/archive$/, withContainer(upload)],
  ['DELETE', /^\/containers\/(.*)$/, withContainer(noContent)],
  ['POST', /^\/exec\/(.*)\/start$/, startExec],
  ['POST', /^\/exec\/(.*)\/resize$/, ({ exchange }) => exchange.answer(200)],
  ['GET', /^\/exec\/(.*)\/json$/, inspectExec],
  ['GET', /^\/images\/json$/, ({ exchange, state }) => exchange.answer(200, state.images)],
  ['POST', /^\/images\/create$/, ({ exchange }) => pull(exchange)],
  ['POST', /^\/images\/load$/, upload],
  ['GET', /^\/images\/(.*)\/get$/, download],
  ['GET', /^\/images\/(.*)\/json$/, ({ exchange, name }) => exchange.answer(200, { Id: name })],
  ['POST', /^\/build$/, upload],
  ['GET', /^\/volumes$/, ({ exchange, state }) => exchange.answer(200, state.volumes)],
  ['GET', /^\/volumes\/(.*)$/, inspectVolume],
  ['GET', /^\/networks\/?$/, ({ exchange, state }) => exchange.answer(200, state.networks)],
  ['POST', /^\/(?:session|grpc)$/, ({ exchange }) => serveH2c(exchange)],
  ['GET', /^\/nodes$/, onManager(({ exchange }) => exchange.answer(200, [swarmNode(exchange.facts)]))],
  ['GET', /^\/nodes\/(.*)$/, onManager(({ exchange }) => exchange.answer(200, swarmNode(exchange.facts)))],
  ['GET', /^\/(?:services|tasks|secrets|configs)$/, onManager(({ exchange }) => exchange.answer(200, []))],
  [
    'GET',
    /^\/swarm$/,
    onManager(({ exchange }) => exchange.answer(200, { ID: 'clusterclusterclusterclus' })),
  ],
];

async function ping({ exchange }: RouteContext): Promise<void> {
  const swarm = exchange.facts.swarm;
  await exchange.answer(200, 'OK', {
    'Builder-Version': '1',
    'Cache-Control': 'no-cache, no-store, must-revalidate',
    Pragma: 'no-cache',
    Swarm: swarm === 'inactive' ? swarm : `active/${swarm}`,
  });
}

async function info({ exchange, state }: RouteContext): Promise<void> {
  await exchange.answer(200, engineInfo(exchange.facts, state.containers.length));
}

async function listContainers({ exchange, state }: RouteContext): Promise<void> {
  const filters = exchange.query.get('filters');
  if (filters !== null && !isJson(filters)) {
    await exchange.answer(400, { message: 'invalid filter' });
    return;
  }
  await exchange.answer(200, state.containerList ?? state.containers.map(containerSummary));
}

async function createContainer({ exchange }: RouteContext): Promise<void> {
  await exchange.text();
  await exchange.answer(201, { Id: 'c'.repeat(64), Warnings: [] });
}

async function inspectVolume({ exchange, state, name }: RouteContext): Promise<void> {
  // A test writes the list, in the form of the engine's answer.
  const { Volumes } = state.volumes as { Volumes: readonly { Name: string }[] | null };
  const found = Volumes?.find((volume) => volume.Name === name);
  if (found === undefined) await exchange.answer(404, { message: `get ${name}: no such volume` });
  else await exchange.answer(200, found);
}

function withContainer(
  handle: (context: RouteContext, container: FakeContainer) => Promise<void>,
): (context: RouteContext) => Promise<void> {
  return async (context) => {
    const { exchange, state, name } = context;
    const found = findContainer(state.containers, name);
    if (found === undefined) await exchange.answer(404, { message: `No such container: ${name}` });
    else await handle(context, found);
  };
}

/** Exact id, then exact name, then an unambiguous beginning of an id, as the engine resolves them. */
function findContainer(containers: readonly FakeContainer[], name: string): FakeContainer | undefined {
  const exact = containers.find(({ id }) => id === name) ?? containers.find((one) => one.name === name);
  if (exact !== undefined) return exact;
  const begun = containers.filter(({ id }) => name !== '' && id.startsWith(name));
  return begun.length === 1 ? begun[0] : undefined;
}

async function inspectContainer({ exchange }: RouteContext, container: FakeContainer): Promise<void> {
  await exchange.answer(200, containerInspect(container));
}

async function noContent({ exchange }: RouteContext): Promise<void> {
  for await (const _ of exchange.body());
  await exchange.answer(204);
}

async function logs({ exchange, feeds }: RouteContext, container: FakeContainer): Promise<void> {
  await followLogs(exchange, feeds, container.id);
}

async function wait({ exchange, feeds }: RouteContext, container: FakeContainer): Promise<void> {
  await waitForExit(exchange, feeds, container.id);
}

async function attach({ exchange }: RouteContext, container: FakeContainer): Promise<void> {
  await serveHijack(exchange, { command: 'cat', tty: container.tty });
}

async function createExec({ exchange, execs }: RouteContext, container: FakeContainer): Promise<void> {
  // A test writes this body, so its shape is known.
  const body = JSON.parse(await exchange.text()) as { Cmd: Command[]; Tty?: boolean };
  const id = `${execs.size + 1}`.padStart(64, 'e');
  execs.set(id, { containerId: container.id, command: body.Cmd[0] ?? 'cat', tty: body.Tty ?? false });
  await exchange.answer(201, { Id: id });
}

async function startExec({ exchange, execs, name }: RouteContext): Promise<void> {
  const exec = execs.get(name);
  if (exec === undefined) await exchange.answer(404, { message: `No such exec instance: ${name}` });
  else await serveHijack(exchange, exec);
}

async function inspectExec({ exchange, execs, name }: RouteContext): Promise<void> {
  const exec = execs.get(name);
  if (exec === undefined) await exchange.answer(404, { message: `No such exec instance: ${name}` });
  else await exchange.answer(200, { ID: name, ContainerID: exec.containerId, Running: true, ExitCode: null });
}

async function upload({ exchange }: RouteContext): Promise<void> {
  await countUpload(exchange);
}

async function getArchive({ exchange }: RouteContext): Promise<void> {
  const stat = { name: 'file', size: 4, mode: 0o644, mtime: '2026-01-01T00:00:00Z', linkTarget: '' };
  const header = Buffer.from(JSON.stringify(stat)).toString('base64');
  const statHeader = { 'X-Docker-Container-Path-Stat': header };
  if (exchange.method === 'HEAD') {
    await exchange.answer(200, undefined, statHeader);
    return;
  }
  // The engine knows the length of a tar stream no sooner than we do.
  const writer = await exchange.stream({ 'Content-Type': 'application/x-tar', ...statHeader });
  await writer.write('tar!');
  await writer.end();
}

async function download({ exchange, state }: RouteContext): Promise<void> {
  await exchange.answerBytes(state.downloadBytes, pieces(state.downloadBytes), {
    'Content-Type': 'application/x-tar',
  });
}

function onManager(handle: Handler): Handler {
  return async (context) => {
    if (context.exchange.facts.swarm === 'manager') {
      await handle(context);
      return;
    }
    await context.exchange.answer(503, {
      message:
        'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.',
    });
  };
}

function* pieces(count: number): Generator<Buffer> {
  const piece = Buffer.alloc(65_536, 'd');
  for (let left = count; left > 0; left -= piece.length) yield piece.subarray(0, left);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function decode(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
