// Host facts from a host's file system made for the test: the usual one, odd ones, and none at all.

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { readHostInfo } from './host-info.ts';

const pciIds = `#\tcomment
8086  Intel Corporation
\t100e  82540EM Gigabit Ethernet Controller
\t\t8086 001e  PRO/1000 MT Desktop Adapter
\t1237  440FX - 82441FX PMC [Natoma]
1af4  Red Hat, Inc.
\t100e  Not the Intel one
C 00  Unclassified device
8086  Never read
`;

describe('host info', () => {
  let root: string;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'host-'));
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  async function make(files: Readonly<Record<string, string>>): Promise<void> {
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), text);
    }
  }

  it('names devices and disks as Portainer shows them', async () => {
    await make({
      'usr/share/misc/pci.ids': pciIds,
      'sys/bus/pci/devices/0000:00:03.0/modalias': 'pci:v00008086d0000100Esv00008086sd0000001Ebc02sc00i00\n',
      'sys/bus/pci/devices/0000:00:04.0/modalias': 'pci:v00001AF4d00001000sv00001AF4sd00000001bc02sc00i00\n',
      'sys/bus/pci/devices/0000:00:05.0/modalias': 'acpi:something else\n',
      'sys/block/sda/size': '976773168\n',
      'sys/block/sda/device/vendor': 'ATA     \n',
      'sys/block/vda/size': 'not a number\n',
      'sys/block/loop0/size': '8\n',
    });
    assert.deepEqual(await readHostInfo(root), {
      PCIDevices: [
        { Vendor: 'Intel Corporation', Name: '82540EM Gigabit Ethernet Controller' },
        { Vendor: 'Red Hat, Inc.', Name: 'unknown' },
        { Vendor: 'unknown', Name: 'unknown' },
      ],
      PhysicalDisks: [
        { Vendor: 'ATA', Size: 500_107_862_016 },
        { Vendor: 'unknown', Size: 0 },
      ],
    });
  });

  it('prefers the names of hwdata, and knows none without a file', async () => {
    const device = { 'sys/bus/pci/devices/0/modalias': 'pci:v00008086d0000100Esv0' };
    await make(device);
    assert.deepEqual((await readHostInfo(root)).PCIDevices, [{ Vendor: 'unknown', Name: 'unknown' }]);
    await make({ 'usr/share/misc/pci.ids': pciIds, 'usr/share/hwdata/pci.ids': '8086  From hwdata\n' });
    assert.deepEqual((await readHostInfo(root)).PCIDevices, [{ Vendor: 'From hwdata', Name: 'unknown' }]);
  });

  it('is null where the host is not mounted, and where a device cannot be read', async () => {
    assert.deepEqual(await readHostInfo(root), { PCIDevices: null, PhysicalDisks: null });
    await mkdir(join(root, 'sys/bus/pci/devices/0'), { recursive: true });
    assert.equal((await readHostInfo(root)).PCIDevices, null);
  });

  it('reads no more entries than its bound', async () => {
    const disks = Array.from({ length: 1_030 }, (_, index) => `sys/block/sd${index}`);
    for (const disk of disks) await mkdir(join(root, disk), { recursive: true });
    assert.equal((await readHostInfo(root)).PhysicalDisks?.length, 1_024);
  });
});
