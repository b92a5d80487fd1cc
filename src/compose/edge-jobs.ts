// Builds what polls are for beside the tunnel: the host's cron, and the stacks that this agent deploys.

import { systemClock } from '../cluster/clock.ts';
import type { Config, EdgeConfig } from '../config/config.ts';
import { readEnvironment, variables } from '../config/env.ts';
import type { Docker } from '../docker/docker.ts';
import type { ScheduleKeeper, StackKeeper } from '../edge/edge.ts';
import { createScheduleKeeper } from '../edge/schedules/schedules.ts';
import { runCommand } from '../edge/stacks/command.ts';
import { createStackRunner } from '../edge/stacks/stack-runner.ts';
import { createStackKeeper } from '../edge/stacks/stacks.ts';
import type { Logger } from '../log.ts';
import { openHostFolder } from './host-folder.ts';

export interface EdgeJobs {
  readonly schedules: ScheduleKeeper;
  readonly stacks: StackKeeper;
}

export function buildEdgeJobs({ agent }: Config, edge: EdgeConfig, docker: Docker, log: Logger): EdgeJobs {
  const environment = withoutSecrets(readEnvironment());
  const runner = createStackRunner(runCommand, {
    places: { assetsPath: edge.assetsPath, hostRoot: agent.hostRoot, path: environment.PATH ?? '' },
    environment,
    dockerSocket: agent.dockerSocket,
    edgeId: edge.id,
  });
  return {
    schedules: createScheduleKeeper({
      openHostFolder: (path, missing) => openHostFolder(agent.hostRoot, path, missing),
      log: log.child('schedules'),
    }),
    stacks: createStackKeeper(
      {
        runner,
        // Only a Swarm's leader polls, so a node of a Swarm that comes here is a manager.
        mode: () => (!agent.podman && docker.facts().swarm !== undefined ? 'swarm' : 'compose'),
        clock: systemClock,
        log: log.child('stacks'),
      },
      { dataPath: edge.dataPath },
    ),
  };
}

/** Addresses of proxies may hold passwords, and programs need them all the same. */
const needed = new Set(['HTTP_PROXY', 'HTTPS_PROXY']);

/** A stack's file can name any variable that the programs have. */
function withoutSecrets(all: Readonly<Record<string, string | undefined>>): Readonly<Record<string, string>> {
  const hidden = new Set(
    variables.filter(({ name, secret }) => secret === true && !needed.has(name)).map(({ name }) => name),
  );
  return Object.fromEntries(
    Object.entries(all).filter(
      (entry): entry is [string, string] => entry[1] !== undefined && !hidden.has(entry[0]),
    ),
  );
}
