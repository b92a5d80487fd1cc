// Collects the figures of one bench run and prints them as ratios beside the targets, as Markdown.

import os from 'node:os';
import { type ListScale, scaleLines } from './merged-list-scale.ts';
import type { MemoryFigures } from './process-memory.ts';
import type { RoutedCalls } from './routed-calls.ts';
import type { LoadFigures } from './wrk.ts';

export interface Report {
  /** Of several turns of one subject, the fastest counts. */
  load(what: string, connections: number, subject: string, figures: LoadFigures): void;
  memory(state: 'idle' | 'loaded', figures: MemoryFigures): void;
  start(firstAnswerMs: number): void;
  routed(calls: RoutedCalls): void;
  lists(scale: ListScale): void;
  /** Whether every target was met. */
  met(): boolean;
  text(): string;
}

interface Row extends LoadFigures {
  readonly what: string;
  readonly connections: number;
  readonly subject: string;
}

interface Target {
  readonly name: string;
  readonly figure: number;
  readonly limit: number;
  readonly better: 'more' | 'less';
}

export function createReport(): Report {
  const rows: Row[] = [];
  const memory = new Map<string, MemoryFigures>();
  let startMs = Number.NaN;
  let routed: RoutedCalls = { targetMs: Number.NaN, idMs: Number.NaN, nameMs: Number.NaN, allMs: Number.NaN };
  let scale: ListScale = { rows: [], targets: [] };

  const find = (what: string, connections: number, subject: string): Row => {
    const row = rows.find(
      (each) => each.what === what && each.connections === connections && each.subject === subject,
    );
    if (row === undefined)
      throw new Error(`report: ${what} of ${subject} at ${connections} was not measured`);
    return row;
  };

  const targets = (): readonly Target[] => {
    const rate = (what: string, connections: number, subject: string): number =>
      find(what, connections, subject).requestsPerSecond;
    const idle = memory.get('idle');
    return [
      {
        name: '/_ping at 16, share of the engine’s own rate',
        figure: rate('/_ping', 16, 'Flotilla') / rate('/_ping', 16, 'engine'),
        limit: 0.43,
        better: 'more',
      },
      {
        name: 'merged list at 1, p50 in lists of one engine',
        figure: find('merged list', 1, 'Flotilla').p50Ms / find('merged list', 1, 'engine').p50Ms,
        limit: 4,
        better: 'less',
      },
      {
        name: 'merged list at 16, share of a third of one engine’s rate',
        figure: (3 * rate('merged list', 16, 'Flotilla')) / rate('merged list', 16, 'engine'),
        limit: 0.85,
        better: 'more',
      },
      { name: 'idle, anonymous MB', figure: idle?.anonymousMb ?? Number.NaN, limit: 60, better: 'less' },
      { name: 'idle, resident MB', figure: idle?.residentMb ?? Number.NaN, limit: 115, better: 'less' },
      { name: 'start to first answer, ms', figure: startMs, limit: 500, better: 'less' },
      {
        name: 'call to another node by full id, in calls by target header',
        figure: routed.idMs / routed.targetMs,
        limit: 1.5,
        better: 'less',
      },
      {
        name: 'owner lookup of a name, in round trips with all members',
        figure: (routed.nameMs - routed.targetMs) / routed.allMs,
        limit: 1,
        better: 'less',
      },
      ...scale.targets.map((each) => ({ ...each, better: 'less' as const })),
    ];
  };
  const isMet = ({ figure, limit, better }: Target): boolean =>
    better === 'more' ? figure >= limit : figure <= limit;

  return {
    load(what, connections, subject, figures): void {
      const isSame = (row: Row): boolean =>
        row.what === what && row.connections === connections && row.subject === subject;
      const at = rows.findIndex(isSame);
      const row = { what, connections, subject, ...figures };
      if (at === -1) rows.push(row);
      else if (figures.requestsPerSecond > (rows[at]?.requestsPerSecond ?? 0)) rows[at] = row;
    },
    memory: (state, figures) => void memory.set(state, figures),
    start(firstAnswerMs): void {
      startMs = firstAnswerMs;
    },
    routed(calls): void {
      routed = calls;
    },
    lists(measured): void {
      scale = measured;
    },
    met: () => targets().every(isMet),
    text: () =>
      [
        `# Bench of ${new Date().toISOString().slice(0, 10)}`,
        '',
        `${os.cpus().length} cores, everything on one machine: wrk, three engines, three agents. The subjects took`,
        'turns, and the best turn of each counts. Ratios hold, milliseconds do not.',
        'All but the engine terminate TLS; Flotilla also verifies a signature, and lets identical questions that wait at the',
        'same time share one call (docs/adr/0012); "nothing shared" is Flotilla with requests that all differ. The merged',
        'list asks three engines with 20 containers each.',
        '',
        '| what | connections | subject | requests/s | ratio to the engine | p50 ms | p99 ms |',
        '| --- | ---: | --- | ---: | ---: | ---: | ---: |',
        ...rows.map((row) => toLine(row, find(row.what, row.connections, 'engine'))),
        '',
        '| memory | anonymous MB | resident MB |',
        '| --- | ---: | ---: |',
        ...[...memory].map(
          ([state, m]) => `| ${state} | ${m.anonymousMb.toFixed(1)} | ${m.residentMb.toFixed(1)} |`,
        ),
        '',
        '| inspect of a container of another node, over the cluster socket | p50 ms |',
        '| --- | ---: |',
        `| by target header | ${routed.targetMs.toFixed(2)} |`,
        `| by full id | ${routed.idMs.toFixed(2)} |`,
        `| by name, which all members are asked for | ${routed.nameMs.toFixed(2)} |`,
        `| by target header on all nodes at once, until the last answer | ${routed.allMs.toFixed(2)} |`,
        '',
        ...scaleLines(scale),
        '',
        '| target | figure | limit | met |',
        '| --- | ---: | ---: | --- |',
        ...targets().map((target) => {
          const { name, figure, limit, better } = target;
          return `| ${name} | ${figure.toFixed(2)} | ${better === 'more' ? '≥' : '≤'} ${limit} | ${isMet(target) ? 'yes' : '**no**'} |`;
        }),
        '',
      ].join('\n'),
  };
}

function toLine(row: Row, engine: Row): string {
  const ratio = (row.requestsPerSecond / engine.requestsPerSecond).toFixed(2);
  const rate = Math.round(row.requestsPerSecond);
  return `| ${row.what} | ${row.connections} | ${row.subject} | ${rate} | ${ratio} | ${row.p50Ms.toFixed(2)} | ${row.p99Ms.toFixed(2)} |`;
}
