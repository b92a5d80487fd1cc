// Programs that people write with docker-py and dockerode, on one docker.sock for three engines: what they make lives on
// another node than the one whose socket they use, and every call gives what it gives on that node's engine itself.

import assert from 'node:assert/strict';
import { access } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { after, before, describe, it } from 'mocha';

import { type AgentLab, createAgentLab, patient, printLogsOnFailure } from '../support/agent-lab.ts';
import { clusterSocketOf, nodeSocketOf } from '../support/compose-project.ts';
import { eventually } from '../support/eventually.ts';
import { runCommand } from '../support/lab/command.ts';
import type { LabNode } from '../support/lab/node.ts';
import { type ProgramOptions, type Results, runDockerodeProgram } from '../support/sdk/dockerode-program.ts';

const testTimeoutMs = 120_000;
const programTimeoutMs = 50_000;
const wholeWithinMs = 30_000;
const minCalls = 20;
/** Debian's own: another Python on PATH has not the package. */
const python = '/usr/bin/python3';
const dockerPyProgram = fileURLToPath(import.meta.resolve('../support/sdk/docker_py_program.py'));

const programs: readonly {
  readonly sdk: string;
  readonly run: (options: ProgramOptions) => Promise<Results>;
}[] = [
  { sdk: 'docker-py', run: runDockerPyProgram },
  { sdk: 'dockerode', run: runDockerodeProgram },
];

describe('an SDK on the cluster socket', function () {
  this.timeout(testTimeoutMs);
  let agents: AgentLab;
  let entry: LabNode;
  let owner: LabNode;

  before(async () => {
    agents = await createAgentLab({ nodes: 3, swarm: false, env: patient });
    agents.startAll();
    await agents.whole(wholeWithinMs);
    entry = agents.node(1);
    owner = agents.node(2);
    const sockets = [clusterSocketOf(entry), nodeSocketOf(entry, owner)];
    await eventually(() => Promise.all(sockets.map((socket) => access(socket))), { withinMs: wholeWithinMs });
  });

  after(async () => {
    await agents?.[Symbol.asyncDispose]();
  });

  printLogsOnFailure(() => agents);

  for (const { sdk, run } of programs) {
    const unique = `by-${sdk}`;

    it(`gives a ${sdk} program for another node what that node's engine gives it`, async () => {
      const on = async (socketPath: string): Promise<Results> =>
        asTold(await run({ socketPath, node: owner.name, unique }));
      const expected = await on(owner.engineSocket);
      assert.ok(Object.keys(expected).length >= minCalls);
      const containers = await containersOn(entry);
      assert.deepEqual(await on(clusterSocketOf(entry)), expected);
      assert.deepEqual(await on(nodeSocketOf(entry, owner)), expected);
      assert.deepEqual(await containersOn(entry), containers);
    });
  }
});

/**
 * An engine with little time may tell of one pause twice, once as it is done, and once as containerd reports it; and of the
 * end of a process when it hears of it, before or behind what a client has done meanwhile. Order is held by the lab of events.
 */
function asTold(results: Results): Results {
  const { events } = results;
  if (!Array.isArray(events)) return results;
  const lines = events.map((event) => JSON.stringify(event));
  const isRepeated = (line: string, at: number): boolean =>
    /\b(?:un)?pause\b/.test(line) && lines.indexOf(line) < at;
  return { ...results, events: lines.filter((line, at) => !isRepeated(line, at)).toSorted() };
}

async function runDockerPyProgram({ socketPath, node, unique }: ProgramOptions): Promise<Results> {
  const argv = [python, dockerPyProgram, `unix://${socketPath}`, node, unique];
  const { stdout } = await runCommand(argv, { timeoutMs: programTimeoutMs });
  return JSON.parse(stdout);
}

function containersOn(node: LabNode): Promise<string> {
  return node.docker(['ps', '--all', '--quiet']);
}
