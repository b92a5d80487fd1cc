// Rows W1 to W6: consoles in a real shell, as the browser has them through Portainer's server.

import { equal, match, ok, rejects } from 'node:assert/strict';
import { type ConsoleClient, ConsoleRefused } from '../../support/console-client.ts';
import { eventually } from '../../support/eventually.ts';
import { type Bench, type Box, type Item, steer } from './bench.ts';
import type { Row } from './row.ts';
import { lastOf, withoutAgents } from './rows-swarm.ts';

/** Gives back every byte as it came: a terminal would echo, and change line ends. */
const rawCat = ['sh', '-c', 'stty raw -echo; echo ready; exec cat'];

/** Answers each line in other words than a terminal's echo. */
const attachable: Item = {
  Cmd: [
    'sh',
    '-c',
    'while read -r line; do [ "$line" = quit ] && break; echo "heard <$line>"; done; echo the last words',
  ],
  Tty: true,
  OpenStdin: true,
  StopSignal: 'SIGKILL',
};
/** Ends with its input, which ends with who is attached. */
const untilLeft: Item = { Cmd: ['cat'], OpenStdin: true, StdinOnce: true, StopSignal: 'SIGKILL' };

export const consoleRows: readonly Row[] = [
  {
    id: 'W1',
    what: 'exec and attach with X-PortainerAgent-Target present and empty',
    insteadOf: 'in a cluster an empty target is refused with 500',
    async run(bench) {
      const box = bench.box();
      {
        await using console_ = await openShell(bench, box, ['sh'], '');
        await console_.send('echo $((6*7))-done\n');
        await console_.until('42-done');
      }
      await using listener = await bench.container(box.node, attachable);
      await using attached = await bench.console(`/websocket/attach?endpointId=1&id=${listener.id}`);
      await attached.send('both ways\n');
      await attached.until('heard <both ways>');
      equal(attached.frames().binary, 0);
    },
  },
  {
    id: 'W2',
    what: 'exec on another node',
    needs: ['swarm'],
    async run(bench) {
      for (const { node } of bench.boxes) {
        await using console_ = await openShell(bench, bench.box(node), ['sh'], node);
        await console_.send('echo $((6*7))-done\n');
        await console_.until('42-done');
      }
    },
  },
  {
    id: 'W2+',
    what: 'exec on another node by its full id, without a target',
    insteadOf: 'refused with 500',
    needs: ['swarm'],
    async run(bench) {
      const box = bench.box(lastOf(bench));
      await using console_ = await openShell(bench, box, ['sh'], '');
      await console_.send('echo $((6*7))-done\n');
      await console_.until('42-done');
    },
  },
  {
    id: 'W3',
    what: 'a bad id: 400 before the upgrade',
    async run(bench) {
      const node = bench.swarm?.entry ?? '';
      for (const kind of ['exec', 'attach']) {
        for (const id of ['xyz', '../version', 'ab%2fstart'])
          await refused(bench.console(`/websocket/${kind}?id=${id}`, node), 400, /hexadecimal identifier/);
        await refused(bench.console(`/websocket/${kind}`, node), 400, /Invalid query parameter: id/);
      }
    },
  },
  {
    id: 'W3+',
    what: 'what is not there: Docker’s own words before the upgrade',
    insteadOf: 'a console that is closed at once, without a word',
    async run(bench) {
      for (const { node } of bench.boxes) {
        const nothing = 'f'.repeat(64);
        await refused(bench.console(`/websocket/exec?id=${nothing}`, node), 404, /No such exec/i);
        await refused(bench.console(`/websocket/attach?id=${nothing}`, node), 404, /No such container/i);
      }
    },
  },
  {
    id: 'W3 node',
    what: 'an unknown node: 500 before the upgrade',
    needs: ['swarm'],
    run: (bench) =>
      refused(
        bench.console('/websocket/exec?id=ab', 'no-such-node'),
        500,
        /Unable to find the targeted agent/,
      ),
  },
  {
    id: 'W3 dead',
    what: 'a dead node: 503, or 500 once it is known to be gone',
    needs: ['swarm', 'kill', 'restart'],
    timeoutMs: 120_000,
    async run(bench) {
      const node = lastOf(bench);
      await withoutAgents(bench, [node], () =>
        refused(bench.console('/websocket/exec?id=ab', node), [500, 503], /./),
      );
    },
  },
  {
    id: 'W4',
    what: 'text frames out, text and binary in, 2 KiB at once',
    async run(bench) {
      for (const box of bench.boxes) {
        await using console_ = await openRaw(bench, box);
        await console_.send(`${'t'.repeat(2_047)}|`);
        await console_.send(Buffer.from(`${'b'.repeat(2_046)}.\n`));
        await console_.until(`t|${'b'.repeat(2_046)}.\n`);
        equal(console_.frames().binary, 0);
      }
    },
  },
  {
    id: 'W4+',
    what: 'pastes of 64 KiB and 1 MiB arrive whole; characters split anywhere too',
    insteadOf: 'over 2 KiB the console is closed, and a split character is lost',
    async run(bench) {
      for (const box of bench.boxes) {
        await using console_ = await openRaw(bench, box);
        let expected = console_.bytes();
        for (const bytes of [65_536, 1_048_576]) {
          const paste = Buffer.from('päste€😀\n'.repeat(Math.ceil(bytes / 17)));
          expected = Buffer.concat([expected, paste]);
          await console_.send(paste);
          await eventually(() => equal(console_.bytes().length, expected.length), { withinMs: 20_000 });
          ok(console_.bytes().equals(expected));
        }
        const split = String.raw`printf "\303"; sleep 0.3; printf "\244\342"; sleep 0.3; printf "\202\254!"`;
        await using other = await openShell(bench, box, ['sh', '-c', split], box.node);
        await other.until('ä€!');
      }
    },
  },
  {
    id: 'W5',
    what: 'a ping every 50 s; an idle console survives, here and on other nodes',
    waits: true,
    timeoutMs: 2_400_000,
    async run(bench) {
      const idleMs = bench.long ? 1_800_000 : 120_000;
      await Promise.all(
        bench.boxes.map(async (box) => {
          await using console_ = await openRaw(bench, box);
          const { promise, resolve } = Promise.withResolvers<void>();
          setTimeout(resolve, idleMs);
          await promise;
          const expected = Math.floor(idleMs / 50_000);
          const pings = console_.pings();
          ok(Math.abs(pings - expected) <= Math.max(1, expected * 0.1), `${box.node}: ${pings} pings`);
          await console_.send('still there\n');
          await console_.until('still there');
        }),
      );
    },
  },
  {
    id: 'W6',
    what: 'the end of the exec, or of the container, closes the websocket behind the last output',
    async run(bench) {
      for (const box of bench.boxes) {
        await using console_ = await openShell(bench, box, ['sh', '-c', 'echo the last words'], box.node);
        await endsWithLastWords(console_);
        await using listener = await bench.container(box.node, attachable);
        await using attached = await bench.console(`/websocket/attach?id=${listener.id}`, box.node);
        await attached.send('quit\n');
        await endsWithLastWords(attached);
      }
    },
  },
  {
    id: 'W6+',
    what: 'the end of the websocket closes the connection to Docker',
    insteadOf: 'it stays open for ever',
    async run(bench) {
      for (const box of bench.boxes) {
        // Without a terminal `cat` ends with its input, which ends with the connection.
        const id = await bench.exec(box, ['cat'], false);
        const running = async (): Promise<unknown> =>
          ((await bench.json(`/exec/${id}/json`, steer(box.node))) as Item).Running;
        await using console_ = await bench.console(`/websocket/exec?id=${id}`, box.node);
        await eventually(async () => equal(await running(), true));
        console_.socket.close(1000);
        await eventually(async () => equal(await running(), false), { withinMs: 10_000 });
        await using container = await bench.container(box.node, untilLeft);
        const lives = async (): Promise<unknown> => {
          const { State } = (await bench.json(`/containers/${container.id}/json`, steer(box.node))) as Item;
          return (State as Item).Running;
        };
        await using attached = await bench.console(`/websocket/attach?id=${container.id}`, box.node);
        equal(await lives(), true);
        attached.socket.close(1000);
        await eventually(async () => equal(await lives(), false), { withinMs: 10_000 });
      }
    },
  },
];

async function endsWithLastWords(console_: ConsoleClient): Promise<void> {
  const code = await console_.closed();
  match(console_.bytes().toString(), /the last words\r\n$/);
  ok(code === 1000 || code === 1006, `closed with ${code}`);
}

async function openShell(
  bench: Bench,
  box: Box,
  cmd: readonly string[],
  node: string,
): Promise<ConsoleClient> {
  const id = await bench.exec(box, cmd);
  const query = `endpointId=1&id=${id}${node === '' ? '' : `&nodeName=${node}`}`;
  return bench.console(`/websocket/exec?${query}`, node);
}

async function openRaw(bench: Bench, box: Box): Promise<ConsoleClient> {
  const console_ = await openShell(bench, box, rawCat, box.node);
  await console_.until('ready');
  // The line end may be in a piece of its own.
  await console_.until('\n');
  return console_;
}

async function refused(
  attempt: Promise<ConsoleClient>,
  status: number | readonly number[],
  words: RegExp,
): Promise<void> {
  await rejects(attempt, (error) => {
    ok(error instanceof ConsoleRefused, String(error));
    ok([status].flat().includes(error.status), `${error.status} ${error.body}`);
    match(error.body, words);
    return true;
  });
}
