// Who polls, while the engine answers, falls silent, and while the time of day jumps.

import assert from 'node:assert/strict';
import type { EngineFacts, EngineHealth, SwarmFacts } from '../docker/docker.ts';
import { createRole, leaderSilenceMs } from './role.ts';

const leader: SwarmFacts = {
  nodeId: 'n1',
  clusterId: 'c1',
  role: 'manager',
  leader: true,
};

describe('role of an Edge agent', () => {
  let swarm: SwarmFacts | undefined;
  let health: EngineHealth;
  let nowMs: number;
  const docker = {
    facts: () => ({ swarm }) as EngineFacts,
    health: () => health,
  };
  const roleOf = (podman = false): (() => boolean) =>
    createRole({ docker, monotonicMs: () => nowMs }, { podman });
  const silentSince = (sinceMs: number): EngineHealth => ({
    kind: 'unreachable',
    reason: 'refused',
    sinceMs,
  });

  beforeEach(() => {
    swarm = leader;
    health = { kind: 'reachable' };
    nowMs = 1_000;
  });

  it('polls alone, on Podman, and on the leader only of a Swarm', () => {
    assert.equal(roleOf()(), true);
    swarm = { ...leader, leader: false };
    assert.equal(roleOf()(), false);
    assert.equal(roleOf(true)(), true);
    swarm = { ...leader, role: 'worker' };
    assert.equal(roleOf()(), false);
    swarm = undefined;
    health = silentSince(0);
    nowMs += 10 * leaderSilenceMs;
    assert.equal(roleOf()(), true);
  });

  it('rests once the engine has been silent for long', () => {
    const polls = roleOf();
    health = silentSince(500);
    assert.equal(polls(), true);
    nowMs += leaderSilenceMs;
    assert.equal(polls(), true);
    nowMs += 1;
    assert.equal(polls(), false);
    health = { kind: 'reachable' };
    assert.equal(polls(), true);
  });

  it('is not moved by the time of day, at which the silence is said to have begun', () => {
    const polls = roleOf();
    for (const sinceMs of [0, Number.MAX_SAFE_INTEGER]) {
      health = silentSince(sinceMs);
      assert.equal(polls(), true);
      nowMs += leaderSilenceMs / 2;
      assert.equal(polls(), true);
      nowMs += leaderSilenceMs;
      assert.equal(polls(), false);
    }
  });

  it('counts two silences apart, also when the answer between them was not seen', () => {
    const polls = roleOf();
    health = silentSince(500);
    polls();
    nowMs += leaderSilenceMs;
    health = silentSince(15_000);
    assert.equal(polls(), true);
    nowMs += leaderSilenceMs;
    assert.equal(polls(), true);
  });
});
