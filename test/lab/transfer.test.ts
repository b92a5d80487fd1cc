// Large and long streams through two agents: client, agent of node-1, agent of node-2, its engine. Bodies of any size
// pass with flat memory in both agents, and a thousand idle streams are held and still deliver.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createReadStream, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { after, before, describe, it } from 'mocha';

import { type AgentLab, createAgentLab, printLogsOnFailure, report } from '../support/agent-lab.ts';
import { eventually } from '../support/eventually.ts';
import type { LabNode } from '../support/lab/node.ts';
import { scaled } from '../support/scale.ts';

const mebibyte = 1_048_576;
const maxGrowthBytes = 32 * mebibyte;
const bigMebibytes = scaled(256, 1_024);
const warmUpMebibytes = 64;
const streamCount = 1_000;
const openedAtOnce = 50;
const heldMs = scaled(10_000, 60_000);
const sampleMs = 50;
const transferTimeoutMs = scaled(100_000, 400_000);
const wholeWithinMs = 30_000;
const agentPort = 9001;

describe('transfers in the lab', function () {
  this.timeout(transferTimeoutMs);
  let agents: AgentLab;
  let entry: LabNode;
  let owner: LabNode;
  let folder: string;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'flotilla-transfer-'));
    agents = await createAgentLab({ nodes: 2, swarm: false });
    [entry, owner] = [agents.node(1), agents.node(2)];
    agents.startAll();
    await agents.whole(wholeWithinMs);
    await saveImage('warm', warmUpMebibytes);
    await saveImage('big', bigMebibytes);
    // What the first transfers allocate stays: code, buffers, connections.
    await load('warm');
    await download('/images/warm/get');
  });

  after(async () => {
    await agents?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  printLogsOnFailure(() => agents);

  it(`loads an image of ${bigMebibytes} MiB through two agents with flat memory`, async () => {
    await withFlatMemory(async () => {
      const answer = await load('big');
      assert.match(answer, /Loaded image: big:latest/);
      return fileBytes('big');
    });
    assert.match(await owner.docker(['image', 'ls', '--quiet', 'big']), /[0-9a-f]{12}/);
  });

  it(`saves an image of ${bigMebibytes} MiB through two agents with flat memory`, async () => {
    await withFlatMemory(() => download('/images/big/get'));
  });

  it(`exports a container of ${bigMebibytes} MiB through two agents with flat memory`, async () => {
    await owner.docker(['create', '--name', 'exported', 'big']);
    await withFlatMemory(() => download('/containers/exported/export'));
  });

  it(`holds ${streamCount} idle log streams through two agents, and delivers to each`, async () => {
    const script = 'while [ ! -e /go ]; do sleep 0.1; done; echo hello; exec sleep 1000';
    const run = [
      'run',
      '-d',
      '--network',
      'none',
      '--init',
      '--name',
      'talker',
      'busybox:lab',
      'sh',
      '-c',
      script,
    ];
    await owner.docker(run);
    const before = residentBytes();
    const streams: IncomingMessage[] = [];
    const texts: string[] = [];
    try {
      while (streams.length < streamCount) {
        const batch = Array.from({ length: openedAtOnce }, () => ask('GET', logsPath));
        for (const stream of await Promise.all(batch)) {
          assert.equal(stream.statusCode, 200);
          const at = streams.push(stream) - 1;
          texts[at] = '';
          stream.on('data', (chunk: Buffer) => {
            texts[at] += chunk.toString('latin1');
          });
        }
      }
      await new Promise((resolve) => setTimeout(resolve, heldMs));
      const held = residentBytes();
      const perStream = held.map((bytes, at) => (bytes - (before[at] ?? 0)) / streamCount / 1_024);
      assert.ok(streams.every((stream) => !stream.destroyed && !stream.complete));
      assert.ok(texts.every((text) => text === ''));

      await owner.docker(['exec', 'talker', 'touch', '/go']);
      const saidMs = performance.now();
      const heard = (): number => texts.filter((text) => text.endsWith('hello\n')).length;
      await eventually(() => assert.equal(heard(), streamCount), { withinMs: 20_000 });
      report(
        `${perStream.map((kibibytes) => kibibytes.toFixed(0)).join(' and ')} KiB per stream; ` +
          `heard by all after ${(performance.now() - saidMs).toFixed(0)} ms`,
      );
    } finally {
      for (const stream of streams) stream.destroy();
      await owner.docker(['rm', '-f', 'talker']);
    }
  });

  /** Runs a transfer, which returns its bytes, and holds both agents to the bound while it runs. */
  async function withFlatMemory(transfer: () => Promise<number>): Promise<void> {
    const before = residentBytes();
    const highest = [...before];
    const sampling = setInterval(() => {
      for (const [at, bytes] of residentBytes().entries()) highest[at] = Math.max(highest[at] ?? 0, bytes);
    }, sampleMs);
    const startedMs = performance.now();
    try {
      const bytes = await transfer();
      assert.ok(bytes >= bigMebibytes * mebibyte, `${bytes} bytes are too few`);
      const seconds = (performance.now() - startedMs) / 1_000;
      const grown = highest.map((value, at) => (value - (before[at] ?? 0)) / mebibyte);
      const figures = grown.map((value) => value.toFixed(1)).join(' and ');
      report(
        `${(bytes / mebibyte).toFixed(0)} MiB in ${seconds.toFixed(1)} s, memory grew by ${figures} MiB`,
      );
      for (const value of grown) assert.ok(value * mebibyte < maxGrowthBytes, `grew by ${value} MiB`);
    } finally {
      clearInterval(sampling);
    }
  }

  /** Of the agent that the client speaks to, and of the one with the engine. */
  function residentBytes(): readonly number[] {
    return [entry, owner].map((node) => {
      const status = readFileSync(`/proc/${agents.agent(node).pid}/status`, 'utf8');
      return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1_024;
    });
  }

  /** An image of random bytes, which nothing can make smaller, as a tar file. No engine keeps it. */
  async function saveImage(name: string, mebibytes: number): Promise<void> {
    const fill = `dd if=/dev/urandom of=/${name} bs=1M count=${mebibytes}`;
    await entry.docker(['run', '--network', 'none', '--name', name, 'busybox:lab', 'sh', '-c', fill]);
    await entry.docker(['commit', name, `${name}:latest`]);
    await entry.docker(['rm', name]);
    await entry.docker(['save', '--output', tarFile(name), `${name}:latest`], {
      timeoutMs: transferTimeoutMs,
    });
    await entry.docker(['rmi', name]);
  }

  function tarFile(name: string): string {
    return join(folder, `${name}.tar`);
  }

  function fileBytes(name: string): number {
    return statSync(tarFile(name)).size;
  }

  async function load(name: string): Promise<string> {
    const headers = { 'Content-Type': 'application/x-tar', 'Content-Length': fileBytes(name) };
    const response = await ask('POST', '/images/load?quiet=1', { headers, bodyFile: tarFile(name) });
    let text = '';
    for await (const chunk of response) text += String(chunk);
    assert.equal(response.statusCode, 200, text);
    return text;
  }

  async function download(path: string): Promise<number> {
    const response = await ask('GET', path);
    assert.equal(response.statusCode, 200);
    let bytes = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) bytes += chunk.length;
    assert.ok(response.complete);
    return bytes;
  }

  /** One request to the owner's engine, through the other agent. Resolves with the head of the answer. */
  async function ask(
    method: string,
    path: string,
    { headers = {}, bodyFile }: { headers?: OutgoingHttpHeaders; bodyFile?: string } = {},
  ): Promise<IncomingMessage> {
    const outgoing = request({
      host: entry.address,
      port: agentPort,
      method,
      path,
      headers: { ...signature(), 'X-PortainerAgent-Target': owner.name, ...headers },
      rejectUnauthorized: false,
      agent: false,
    });
    const answered = once(outgoing, 'response') as Promise<[IncomingMessage]>;
    if (bodyFile === undefined) outgoing.end();
    else await pipeline(createReadStream(bodyFile), outgoing);
    const [response] = await answered;
    return response;
  }

  let signed: ReturnType<AgentLab['signer']['headers']> | undefined;

  /** One for all requests: making a thousand is not what is looked at. */
  function signature(): ReturnType<AgentLab['signer']['headers']> {
    signed ??= agents.signer.headers();
    return signed;
  }
});

const logsPath = '/containers/talker/logs?follow=1&stdout=1';
