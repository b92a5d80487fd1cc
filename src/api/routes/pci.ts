// Names of PCI devices: ids from a device's modalias, names from the text of a `pci.ids` file. Pure.

export interface PciId {
  /** Four lower-case hex digits each; empty when the modalias has none. */
  readonly vendor: string;
  readonly device: string;
}

export interface PciNames {
  /** By vendor id. */
  readonly vendors: ReadonlyMap<string, string>;
  /** By `vendor:device`. */
  readonly devices: ReadonlyMap<string, string>;
}

const unknown = 'unknown';

/** `pci:v00008086d0000100Esv…`: the vendor is characters 9 to 13, the device 18 to 22 (agent-api.md 11). */
export function parsePciModalias(modalias: string): PciId {
  if (!/^pci:v[0-9A-Fa-f]{8}d[0-9A-Fa-f]{8}/.test(modalias)) return { vendor: '', device: '' };
  return { vendor: modalias.slice(9, 13).toLowerCase(), device: modalias.slice(18, 22).toLowerCase() };
}

/**
 * Keeps only what is asked for: the file has 40,000 names. Vendors begin a line, their devices follow behind one tab,
 * subsystems behind two; the list of classes behind them begins with `C`.
 */
export function parsePciIds(text: string, wanted: readonly PciId[]): PciNames {
  const wantedVendors = new Set(wanted.map(({ vendor }) => vendor));
  const wantedDevices = new Set(wanted.map(keyOf));
  const vendors = new Map<string, string>();
  const devices = new Map<string, string>();
  let vendor = '';
  for (const line of text.split('\n')) {
    if (line.startsWith('C ')) break;
    const [, tab, id = '', name = ''] = /^(\t?)([0-9a-f]{4}) {2}(.*)$/.exec(line) ?? [];
    if (tab === '') {
      vendor = id;
      if (wantedVendors.has(id)) vendors.set(id, name.trim());
    } else if (tab === '\t') {
      const key = keyOf({ vendor, device: id });
      if (wantedDevices.has(key)) devices.set(key, name.trim());
    }
  }
  return { vendors, devices };
}

export function pciNames(id: PciId, names: PciNames): { readonly Vendor: string; readonly Name: string } {
  return {
    Vendor: names.vendors.get(id.vendor) ?? unknown,
    Name: names.devices.get(keyOf(id)) ?? unknown,
  };
}

function keyOf({ vendor, device }: PciId): string {
  return `${vendor}:${device}`;
}
