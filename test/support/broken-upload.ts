// Uploads that are cut somewhere, and large ones that are watched: what the tests of one agent and of two share.

import { equal } from 'node:assert/strict';
import { uploadForm, uploadHead, uploadTail } from './browse.ts';
import type { AgentUnderTest } from './checks.ts';
import { pick, type Random } from './random-json.ts';
import { scaled } from './scale.ts';

export const mebibyte: number = 1_024 * 1_024;
const sampleEveryBytes = 16 * mebibyte;

/** Anywhere, and often near what matters: the heads and the end. */
export function cutPoint(random: Random, length: number): number {
  const kind = random();
  if (kind < 0.6) return 1 + pick(random, length - 1);
  return kind < 0.8 ? Math.min(length, 400 + pick(random, 400)) : length - pick(random, 120);
}

/** Cuts the connection, or ends only our side of it. */
export async function sendCut(under: AgentUnderTest, bytes: Buffer, random: Random): Promise<void> {
  await using connection = await under.connect();
  await connection.send(bytes);
  if (random() < 0.7) return;
  connection.halfClose();
  await connection.rest();
}

export interface SampledUpload {
  /** Bytes of the file. */
  readonly total: number;
  /** The node that it is for; without it the agent that is asked. */
  readonly target?: string;
}

/** Uploads `large` into the root of the volume `vol`. Returns by how many bytes each agent's memory grew at most. */
export async function uploadSampled(
  under: AgentUnderTest,
  watched: readonly AgentUnderTest[],
  { total, target }: SampledUpload,
): Promise<readonly number[]> {
  const piece = Buffer.alloc(mebibyte, 'x');
  const [head, tail] = [uploadHead('large'), uploadTail('/')];
  const sample = (): Promise<readonly number[]> =>
    Promise.all(watched.map(({ agent }) => agent.residentBytes()));
  const before = await sample();
  let highest = before;
  await using connection = await under.connect();
  const headers = {
    ...under.signer.headers(),
    ...(target !== undefined && { 'X-PortainerAgent-Target': target }),
    'Content-Type': uploadForm('/', 'large', '').type,
    'Content-Length': String(head.length + total + tail.length),
  };
  await connection.request({ method: 'POST', path: '/v2/browse/put?volumeID=vol', headers });
  await connection.send(head);
  for (let sent = 0; sent < total; sent += piece.length) {
    await connection.send(piece);
    if (sent % sampleEveryBytes !== 0) continue;
    const now = await sample();
    highest = highest.map((bytes, at) => Math.max(bytes, now[at] ?? 0));
  }
  await connection.send(tail);
  equal((await connection.head(scaled(30_000, 300_000))).status, 204);
  return highest.map((bytes, at) => bytes - (before[at] ?? 0));
}
