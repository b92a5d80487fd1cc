// Writes the one list that a client gets of many parts, in the form of its kind. Pure.

import type { ListKind } from '../classify.ts';
import {
  mergeNetworks,
  mergeOrdered,
  mergeVolumes,
  mergeWarnings,
  type OrderedOptions,
} from './lists-merge.ts';
import type { ScannedPart } from './lists-parts.ts';

/** `options` are for containers and images; only containers are listed up to a limit. */
export function writeList(kind: ListKind, parts: readonly ScannedPart[], options: OrderedOptions): Buffer {
  switch (kind) {
    case 'containers':
      return join('[', mergeOrdered(parts, options), ']\n');
    case 'images':
      return join('[', mergeOrdered(parts, { ...options, limit: 0 }), ']\n');
    case 'networks':
      return join('[', mergeNetworks(parts), ']\n');
    case 'volumes': {
      const warnings = mergeWarnings(parts);
      const text = warnings.length === 0 ? 'null' : JSON.stringify(warnings);
      return join('{"Volumes":[', mergeVolumes(parts), `],"Warnings":${text}}\n`);
    }
  }
}

function join(open: string, items: readonly Buffer[], close: string): Buffer {
  const pieces: Buffer[] = [Buffer.from(open)];
  for (const item of items) {
    if (pieces.length > 1) pieces.push(comma);
    pieces.push(item);
  }
  pieces.push(Buffer.from(close));
  return Buffer.concat(pieces);
}

const comma = Buffer.from(',');
