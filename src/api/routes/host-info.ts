// `GET /host/info` (agent-api.md 11): PCI devices and disks of the host, read from its file system as it is mounted.
// What cannot be read is null or `unknown`, as Portainer expects; the answer is never an error for one odd device.

import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parsePciIds, parsePciModalias, pciNames } from './pci.ts';

export interface HostInfo {
  readonly PCIDevices: readonly PciDevice[] | null;
  readonly PhysicalDisks: readonly PhysicalDisk[] | null;
}

export interface PciDevice {
  readonly Vendor: string;
  readonly Name: string;
}

export interface PhysicalDisk {
  readonly Vendor: string;
  /** Bytes. */
  readonly Size: number;
}

/** Devices and disks beyond this are left out: nobody reads them in a page, and each costs a file. */
const maxEntries = 1_024;
/** The real file has 1.4 MB. */
const maxPciIdsBytes = 16 * 1024 * 1024;
/** Files of sysfs hold one short line. */
const maxSysfsBytes = 65_536;
const sectorBytes = 512;
const pciIdsPaths = ['usr/share/hwdata/pci.ids', 'usr/share/misc/pci.ids'];
const unknown = 'unknown';

export async function readHostInfo(hostRoot: string): Promise<HostInfo> {
  const [PCIDevices, PhysicalDisks] = await Promise.all([readPciDevices(hostRoot), readDisks(hostRoot)]);
  return { PCIDevices, PhysicalDisks };
}

/** Null on any error, as the original. */
async function readPciDevices(hostRoot: string): Promise<readonly PciDevice[] | null> {
  const folder = join(hostRoot, 'sys/bus/pci/devices');
  try {
    const entries = await list(folder);
    const aliases = await inTurn(entries, (entry) =>
      readText(join(folder, entry, 'modalias'), maxSysfsBytes),
    );
    const devices = aliases.map(parsePciModalias);
    const names = parsePciIds(await readPciIds(hostRoot), devices);
    return devices.map((device) => pciNames(device, names));
  } catch {
    // The contract has no other way to say that it cannot be known.
    return null;
  }
}

/** Empty where the host has no such file: every device is `unknown` then. */
async function readPciIds(hostRoot: string): Promise<string> {
  for (const path of pciIdsPaths) {
    const text = await readText(join(hostRoot, path), maxPciIdsBytes).catch(() => undefined);
    if (text !== undefined) return text;
  }
  return '';
}

async function readDisks(hostRoot: string): Promise<readonly PhysicalDisk[] | null> {
  const folder = join(hostRoot, 'sys/block');
  let entries: readonly string[];
  try {
    entries = await list(folder);
  } catch {
    return null;
  }
  const disks = entries.filter((entry) => !entry.startsWith('loop'));
  return inTurn(disks, (entry) => readDisk(join(folder, entry)));
}

async function readDisk(folder: string): Promise<PhysicalDisk> {
  const vendor = await readText(join(folder, 'device/vendor'), maxSysfsBytes).catch(() => '');
  const sectors = await readText(join(folder, 'size'), maxSysfsBytes).catch(() => '');
  const size = /^\d+$/.test(sectors.trim()) ? Number(sectors.trim()) * sectorBytes : 0;
  return { Vendor: vendor.trim() === '' ? unknown : vendor.trim(), Size: size };
}

async function list(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder);
  return entries.toSorted().slice(0, maxEntries);
}

/** One file after the other: a page that is opened now and then must not fill the thread pool. */
async function inTurn<T>(
  entries: readonly string[],
  read: (entry: string) => Promise<T>,
): Promise<readonly T[]> {
  const results: T[] = [];
  for (const entry of entries) results.push(await read(entry));
  return results;
}

/** A fifo would block a thread for ever. Files of sysfs call themselves 4096 bytes long, whatever they hold. */
async function readText(path: string, maxBytes: number): Promise<string> {
  const stats = await stat(path);
  if (!stats.isFile()) throw new Error(`${path}: not a file`);
  if (stats.size > maxBytes) throw new Error(`${path}: larger than ${maxBytes} bytes`);
  return readFile(path, 'utf8');
}
