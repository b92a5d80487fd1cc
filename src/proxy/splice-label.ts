// Names the node in the label `flotilla.node` of each item of a list, by bytes: strict clients and `docker ps --format`
// read labels, and unknown members break some of them. Pure. Nothing but the labels changes.

import { nodeLabel } from './endpoint/placement.ts';
import { braceOpen, isKey, skipSpace, violation, walkItems, walkMembers } from './json-scan.ts';
import { findVolumes } from './splice-list.ts';

/**
 * Labels each item of a list. Items that belong to no node (scope `swarm` or `global`) stay as they are. The label is
 * written behind the others: where a key comes twice, decoders take the last, so ours replaces one of the engine's.
 */
export function labelList(body: Buffer, nodeName: string): Buffer {
  const start = skipSpace(body, 0);
  const edits: Edit[] = [];
  const end = findEdits(body, start, pairOf(nodeName), edits);
  if (skipSpace(body, end) !== body.length) throw violation('bytes behind the list', end);
  return applyEdits(body, edits);
}

/** The same for `{"Volumes":[…] or null,…}`; its other members stay. */
export function labelVolumes(body: Buffer, nodeName: string): Buffer {
  const at = findVolumes(body);
  if (at === undefined) return body;
  const edits: Edit[] = [];
  findEdits(body, at, pairOf(nodeName), edits);
  return applyEdits(body, edits);
}

/** Bytes to write in the place of those from `from` to `to`. */
interface Edit {
  readonly from: number;
  readonly to: number;
  readonly bytes: Buffer;
}

function pairOf(nodeName: string): string {
  return `${JSON.stringify(nodeLabel)}:${JSON.stringify(nodeName)}`;
}

/** One edit for each item that is labelled, in order. Returns the index behind the list. */
function findEdits(body: Buffer, start: number, pair: string, edits: Edit[]): number {
  const first = Buffer.from(pair);
  const further = Buffer.from(`,${pair}`);
  const whole = Buffer.from(`{${pair}}`);
  const member = Buffer.from(`"Labels":{${pair}}`);
  const furtherMember = Buffer.from(`,"Labels":{${pair}}`);
  return walkItems(body, start, (open) => {
    let empty = true;
    let shared = false;
    let value = -1;
    let valueEnd = -1;
    const end = walkMembers(body, open, (keyStart, keyEnd, from, to) => {
      empty = false;
      if (isKey(body, keyStart, keyEnd, labelsKey)) {
        value = from;
        valueEnd = to;
      } else if (isKey(body, keyStart, keyEnd, scopeKey)) shared = isShared(body, from, to);
    });
    if (shared) return end;
    if (value === -1) edits.push({ from: end - 1, to: end - 1, bytes: empty ? member : furtherMember });
    else if (body[value] !== braceOpen) edits.push({ from: value, to: valueEnd, bytes: whole });
    else {
      const bytes = skipSpace(body, value + 1) === valueEnd - 1 ? first : further;
      edits.push({ from: valueEnd - 1, to: valueEnd - 1, bytes });
    }
    return end;
  });
}

function isShared(body: Buffer, from: number, to: number): boolean {
  return isKey(body, from, to, swarmScope) || isKey(body, from, to, globalScope);
}

function applyEdits(body: Buffer, edits: readonly Edit[]): Buffer {
  let bytes = body.length;
  for (const edit of edits) bytes += edit.bytes.length - (edit.to - edit.from);
  const result = Buffer.allocUnsafe(bytes);
  let read = 0;
  let written = 0;
  for (const edit of edits) {
    written += body.copy(result, written, read, edit.from);
    written += edit.bytes.copy(result, written);
    read = edit.to;
  }
  body.copy(result, written, read);
  return result;
}

const labelsKey = Buffer.from('"Labels"');
const scopeKey = Buffer.from('"Scope"');
const swarmScope = Buffer.from('"swarm"');
const globalScope = Buffer.from('"global"');
