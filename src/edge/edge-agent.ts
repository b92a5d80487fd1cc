// Runs Edge mode once a key holds: the poller, and what its answers are for. Knows neither how the key came nor how the
// tunnel, the schedules and the stacks do their work.

import { reasonOf } from '../errors.ts';
import type { Startable } from '../lifecycle.ts';
import type { Logger } from '../log.ts';
import type {
  EdgeKey,
  EdgeKeys,
  EdgeState,
  PollAnswer,
  Portainer,
  ScheduleKeeper,
  StackKeeper,
  Tunnel,
  TunnelState,
} from './edge.ts';
import { createLatest, type Latest } from './latest.ts';
import { createPollCache } from './poll-cache.ts';
import { pollOnce } from './poll-exchange.ts';
import type { GlobalKeyMeta, PollIdentity } from './poll-request.ts';
import { createPoller, type EdgeClock, type Poller } from './poller.ts';
import {
  createPortainerClient,
  type PortainerClient,
  type PortainerClientOptions,
} from './portainer-client.ts';
import { createSaidReasons } from './said-reasons.ts';

export interface EdgeAgentNeeds {
  readonly keys: EdgeKeys;
  /** Undefined: tunnels are switched off. */
  readonly tunnel: Tunnel | undefined;
  readonly schedules: ScheduleKeeper | undefined;
  readonly stacks: StackKeeper | undefined;
  /** Whether this agent is the one that polls: alone, or on the leader of its Swarm. */
  readonly mayPoll: () => boolean;
  readonly onRoleChange: (listener: () => void) => () => void;
  /** Whether a key can be given on the page. */
  readonly isPageOpen: () => boolean;
  readonly clock: EdgeClock;
  readonly random: () => number;
  readonly log: Logger;
}

export interface EdgeAgentOptions extends Omit<PortainerClientOptions, 'baseUrl'> {
  readonly identity: PollIdentity;
  readonly meta: GlobalKeyMeta;
}

export interface EdgeAgent extends Startable {
  state(): EdgeState;
  /** The id in use: of the key, or the one that Portainer told for a global one. 0: not told yet. */
  environmentId(): number;
}

/** One key's work. */
interface Running {
  readonly key: EdgeKey;
  readonly client: PortainerClient;
  readonly poller: Poller;
}

interface Work {
  readonly answer: PollAnswer;
  readonly portainer: Portainer;
}

export function createEdgeAgent(needs: EdgeAgentNeeds, options: EdgeAgentOptions): EdgeAgent {
  const { keys, log } = needs;
  const workers = createWorkers(needs);
  let running: Running | undefined;
  let undo: readonly (() => void)[] = [];

  const begin = (key: EdgeKey): void => {
    if (running !== undefined) return;
    warnOf(key, options, log);
    const client = createPortainerClient({ ...options, baseUrl: key.portainerUrl });
    const poller = createPoller(
      {
        ...needs,
        poll: pollWith(client, key, options),
        onAnswer: (answer, environmentId) => {
          const portainer = { url: key.portainerUrl, environmentId, send: client.send };
          followTunnel(needs, key, answer);
          for (const worker of workers) worker.give({ answer, portainer });
        },
        onRest: () => {
          log.info('another agent polls now');
          void rest(needs, workers);
        },
      },
      key.environmentId,
    );
    running = { key, client, poller };
    poller.setRole(needs.mayPoll());
  };

  return {
    name: 'edge',
    start(): Promise<void> {
      if (undo.length > 0) return Promise.resolve();
      undo = [
        keys.onAssociated((key) => begin(key)),
        needs.onRoleChange(() => running?.poller.setRole(needs.mayPoll())),
      ];
      const key = keys.current();
      if (key !== undefined) begin(key);
      return Promise.resolve();
    },
    async stop(): Promise<void> {
      for (const call of undo) call();
      undo = [];
      const ending = running;
      running = undefined;
      await ending?.poller.stop();
      await rest(needs, workers);
      await ending?.client.close();
    },
    state: () => toState(running, needs),
    environmentId: () => running?.poller.state().start.environmentId ?? keys.current()?.environmentId ?? 0,
  };
}

function pollWith(
  client: PortainerClient,
  key: EdgeKey,
  { identity, meta }: EdgeAgentOptions,
): Parameters<typeof createPoller>[0]['poll'] {
  const cache = createPollCache();
  const exchange = { identity, meta, isGlobal: key.environmentId === 0 };
  return (start, timeoutMs, signal) =>
    pollOnce({ send: client.send, cache }, exchange, start, timeoutMs, signal);
}

/** An open tunnel is left alone by ACTIVE, and made again by the tunnel itself. */
function followTunnel({ tunnel }: EdgeAgentNeeds, key: EdgeKey, answer: PollAnswer): void {
  if (tunnel === undefined || answer.status === 'ACTIVE') return;
  if (answer.status === 'IDLE') {
    // It keeps its failures in its state; closing has none.
    void tunnel.close();
    return;
  }
  const { tunnelAddress, fingerprint } = key;
  const { port, credentials } = answer;
  tunnel.open({ tunnelAddress, fingerprint, port, credentials });
}

function createWorkers({ schedules, stacks, log }: EdgeAgentNeeds): readonly Latest<Work>[] {
  const worker = (what: string, run: (work: Work, signal: AbortSignal) => Promise<void>): Latest<Work> => {
    // Each reason once: polls come every few seconds, and so do their failures.
    const said = createSaidReasons();
    return createLatest({
      async run(work, signal): Promise<void> {
        await run(work, signal);
        if (!signal.aborted && said.forget()) log.info(`${what} done again`);
      },
      onFailed(error): void {
        const reason = reasonOf(error);
        if (said.isNew(reason)) log.warn(`${what} not done, each poll tries again`, { reason });
        else log.debug(`${what} not done`, { reason });
      },
    });
  };
  const workers: Latest<Work>[] = [];
  if (schedules !== undefined)
    workers.push(
      worker('schedules', ({ answer, portainer }, signal) =>
        schedules.apply(answer.schedules, portainer, signal),
      ),
    );
  if (stacks !== undefined)
    workers.push(
      worker('stacks', async ({ answer, portainer }, signal) => {
        if (answer.stacks !== undefined) await stacks.apply(answer.stacks, portainer, signal);
      }),
    );
  return workers;
}

/** Never rejects: the workers keep their failures to themselves, and so does the tunnel. */
async function rest({ tunnel }: EdgeAgentNeeds, workers: readonly Latest<Work>[]): Promise<void> {
  await Promise.all([tunnel?.close(), ...workers.map((worker) => worker.cancel())]);
}

/** What makes a deployment weaker than its owner may think is said once, at the start. */
function warnOf(key: EdgeKey, { insecure }: EdgeAgentOptions, log: Logger): void {
  const { portainerUrl } = key;
  if (portainerUrl.startsWith('http:'))
    log.warn(
      'portainer is polled without TLS: the Edge ID, which also encrypts tunnel credentials, can be read',
      {
        portainer: portainerUrl,
      },
    );
  else if (insecure)
    log.warn('portainer is polled without verifying who it is', { variable: 'EDGE_INSECURE_POLL' });
}

const noTunnel: TunnelState = { kind: 'closed', why: 'not-wanted' };

function toState(running: Running | undefined, { tunnel, isPageOpen }: EdgeAgentNeeds): EdgeState {
  if (running === undefined) return { kind: 'unassociated', pageOpen: isPageOpen() };
  const { phase, start, intervalMs, lastGoodMs, failure } = running.poller.state();
  if (phase.kind === 'resting') return { kind: 'resting', reason: 'not-leader' };
  return {
    kind: 'polling',
    portainerUrl: running.key.portainerUrl,
    environmentId: start.environmentId,
    intervalMs,
    lastGoodMs,
    failure,
    tunnel: tunnel?.state() ?? noTunnel,
  };
}
