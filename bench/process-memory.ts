// Memory of a process as the kernel counts it: resident, and the part of it that is not backed by files.

import { readFile } from 'node:fs/promises';

export interface MemoryFigures {
  readonly residentMb: number;
  readonly anonymousMb: number;
}

export async function memoryOf(pid: number): Promise<MemoryFigures> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const mb = (field: string): number =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) / 1_024;
  return { residentMb: mb('VmRSS'), anonymousMb: mb('RssAnon') };
}
