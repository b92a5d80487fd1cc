// How the merged list of containers grows with the members, and what one that answers nothing costs. The members are
// fakes in a process of their own; transports, breakers, scan and merge are the agent's. `node bench/merged-list-scale.ts`

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createIdentity } from '../src/auth/identity.ts';
import { type Answer, dockerError } from '../src/exchange.ts';
import { silentLogger } from '../src/log.ts';
import { createPeerTransports } from '../src/proxy/agent-transport.ts';
import { createBreakers } from '../src/proxy/breakers.ts';
import { createEndpointLists } from '../src/proxy/endpoint/lists.ts';
import { createEngineTransport } from '../src/proxy/engine-transport.ts';
import { createLists } from '../src/proxy/lists.ts';
import { createViews, memberOf, type Views } from '../test/support/fake-peer.ts';
import type { Order, Started } from './fake-members.ts';

export interface ListScaleRow {
  readonly members: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
}

export interface ListScaleTarget {
  readonly name: string;
  readonly figure: number;
  readonly limit: number;
}

export interface ListScale {
  readonly rows: readonly ListScaleRow[];
  /** All to be at most their limit. */
  readonly targets: readonly ListScaleTarget[];
}

const containersPerNode = 20;
const timeouts = { memberTimeoutMs: 2_000, slowMemberTimeoutMs: 30_000 };
const warmUps = 30;
const listsPerTurn = 150;
const listsBesideHole = 1_000;
/** The best turn counts: what else the machine does hits all alike. */
const turns = 3;

export async function measureListScale(): Promise<ListScale> {
  const rows: ListScaleRow[] = [];
  for (const members of [3, 10, 50, 200]) {
    await using town = await createTown(members);
    rows.push({ members, ...(await bestTurn(() => town.list())) });
  }
  const [healthy, holed] = await measureHole();
  const at50 = rows.find(({ members }) => members === 50)?.p95Ms ?? Number.NaN;
  return {
    rows,
    targets: [
      { name: 'merged list at 50 members, p95 ms', figure: at50, limit: 60 },
      {
        name: 'merged list with one of 10 black-holed, p95 in healthy ones',
        figure: holed.p95Ms / healthy.p95Ms,
        limit: 1.2,
      },
    ],
  };
}

/** List by list in turns, so that whatever else the machine does in a moment hits both; of so many that p95 stands still. */
async function measureHole(): Promise<readonly [Percentiles, Percentiles]> {
  await using healthy = await createTown(10);
  await using holed = await createTown(10);
  holed.openHole(4);
  // The first list pays one deadline; from then on the breaker is open.
  while (!/breaker-open/.test((await holed.list()).headers.join())) await new Promise(setImmediate);
  const spans: [number[], number[]] = [[], []];
  for (let i = 0; i < warmUps + listsBesideHole; i += 1) {
    const both = [await timed(() => healthy.list()), await timed(() => holed.list())] as const;
    if (i < warmUps) continue;
    spans[0].push(both[0]);
    spans[1].push(both[1]);
  }
  return [percentilesOf(spans[0]), percentilesOf(spans[1])];
}

interface Percentiles {
  readonly p50Ms: number;
  readonly p95Ms: number;
}

async function bestTurn(list: () => Promise<Answer>): Promise<Percentiles> {
  const all: Percentiles[] = [];
  for (let turn = 0; turn < turns; turn += 1) all.push(await oneTurn(list));
  const [best] = all.toSorted((a, b) => a.p95Ms - b.p95Ms);
  if (best === undefined) throw new Error('bench: no turn');
  return best;
}

async function oneTurn(list: () => Promise<Answer>): Promise<Percentiles> {
  const spans: number[] = [];
  for (let i = 0; i < warmUps + listsPerTurn; i += 1) {
    const spanMs = await timed(list);
    if (i >= warmUps) spans.push(spanMs);
  }
  return percentilesOf(spans);
}

async function timed(list: () => Promise<Answer>): Promise<number> {
  const startedMs = performance.now();
  const { status } = await list();
  if (status !== 200) throw new Error(`bench: the list has status ${status}`);
  return performance.now() - startedMs;
}

function percentilesOf(spans: readonly number[]): Percentiles {
  const sorted = spans.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? Number.NaN;
  return { p50Ms: at(0.5), p95Ms: at(0.95) };
}

/** A cluster of fakes, seen by one entry agent that lists it. */
interface Town extends AsyncDisposable {
  list(): Promise<Answer>;
  openHole(member: number): void;
}

async function createTown(members: number): Promise<Town> {
  const folder = await mkdtemp(join(tmpdir(), 'flotilla-bench-'));
  const socketPath = join(folder, 'docker.sock');
  const child = fork(fileURLToPath(new URL('fake-members.ts', import.meta.url)));
  const tell = (order: Order): void => void child.send(order);
  tell({ kind: 'start', members: members - 1, containers: containersPerNode, socketPath });
  const [started] = (await once(child, 'message')) as [Started];
  const views = createViews(
    started.ports.map((peerPort, index) =>
      memberOf({ nodeName: `node-${index}`, peerPort, tlsFingerprint: started.fingerprint }),
    ),
  );
  const entry = await createEntry(views, socketPath);
  return {
    list: entry.list,
    openHole: (member) => tell({ kind: 'hole', member }),
    async [Symbol.asyncDispose](): Promise<void> {
      await entry.stop();
      await end(child);
      await rm(folder, { recursive: true });
    },
  };
}

async function createEntry(
  views: Views,
  socketPath: string,
): Promise<{ list: () => Promise<Answer>; stop: () => Promise<void> }> {
  const { peer } = await createIdentity();
  const transports = createPeerTransports(views, { ...peer, passSignature: false });
  const breakers = createBreakers({ ...views, probe: transports.probe, log: silentLogger });
  const engine = createEngineTransport({ socketPath });
  transports.start();
  breakers.start();
  const { ownPart } = createLists(
    { engine, askMember: transports.fetchDecorated, breakers, nodeName: () => 'self' },
    { ...timeouts, passSignature: false },
  );
  const lists = createEndpointLists(
    {
      ownPart,
      memberPart: transports.fetchDecorated,
      breakers,
      lookup: () => Promise.resolve(dockerError(404, 'nobody is looked up')),
      now: Date.now,
    },
    { ...timeouts, members: 'asked' },
  );
  const path = '/containers/json';
  return {
    list: () =>
      lists.containers({
        method: 'GET',
        target: { path, rawPath: path, query: '?all=1', version: 'v1.41' },
        params: {},
        rawHeaders: [],
        view: views.view(),
        signal: new AbortController().signal,
        strict: false,
      }),
    async stop(): Promise<void> {
      breakers.stop();
      await Promise.all([transports.stop(), engine.close()]);
    },
  };
}

async function end(child: ChildProcess): Promise<void> {
  child.kill();
  await once(child, 'exit');
}

/** As Markdown, for the report. */
export function scaleLines({ rows }: ListScale): readonly string[] {
  return [
    `| members with ${containersPerNode} containers | p50 ms | p95 ms | p50 in that of 3 |`,
    '| ---: | ---: | ---: | ---: |',
    ...rows.map(({ members, p50Ms, p95Ms }) => {
      const growth = p50Ms / (rows[0]?.p50Ms ?? Number.NaN);
      return `| ${members} | ${p50Ms.toFixed(2)} | ${p95Ms.toFixed(2)} | ${growth.toFixed(1)} |`;
    }),
  ];
}
