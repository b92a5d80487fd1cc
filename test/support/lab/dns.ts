// A small DNS server for tests: A records from a table, answered over UDP, able to be dead for a while.
// It knows one question per query, class IN; everything else gets an empty answer or NXDOMAIN.

import { createSocket } from 'node:dgram';
import { once } from 'node:events';

export interface Dns extends AsyncDisposable {
  readonly address: string;
  readonly port: number;
  /** Replaces the addresses of a name; none makes the name unknown. */
  set(name: string, addresses: readonly string[]): void;
  /** Dead: queries are received and never answered. */
  die(): void;
  revive(): void;
  /** Queries received so far, also while dead. */
  readonly queries: number;
}

const headerBytes = 12;
const maxLabels = 32;
const typeA = 1;
const ttlS = 1;

/** `address` is best the lab's `hostAddress` with port 53: the nodes' resolv.conf names it already. */
export async function createDns(address: string, port = 53): Promise<Dns> {
  const table = new Map<string, readonly string[]>();
  const state = { alive: true, queries: 0 };
  const socket = createSocket('udp4');
  socket.on('message', (query, from) => {
    state.queries += 1;
    const answer = state.alive ? answerQuery(query, table) : undefined;
    // Best effort, as DNS is: whoever asked asks again.
    if (answer !== undefined) socket.send(answer, from.port, from.address, () => undefined);
  });
  socket.bind(port, address);
  await once(socket, 'listening');
  return {
    address,
    port: socket.address().port,
    set: (name, addresses) => void table.set(name.toLowerCase(), addresses),
    die: () => {
      state.alive = false;
    },
    revive: () => {
      state.alive = true;
    },
    get queries() {
      return state.queries;
    },
    [Symbol.asyncDispose]: async () => {
      const closed = once(socket, 'close');
      socket.close();
      await closed;
    },
  };
}

/** RFC 1035 section 4. Undefined for what is not a plain query. */
export function answerQuery(
  query: Buffer,
  table: ReadonlyMap<string, readonly string[]>,
): Buffer | undefined {
  const question =
    query.length >= headerBytes && query.readUInt16BE(4) === 1 ? readQuestion(query) : undefined;
  if (question === undefined) return undefined;
  const known = table.get(question.name) ?? [];
  const addresses = question.type === typeA ? known : [];
  const header = Buffer.alloc(headerBytes);
  query.copy(header, 0, 0, 2);
  // Response, recursion desired as asked, recursion available; NXDOMAIN for a name without any record.
  header.writeUInt16BE(0x8080 | (query.readUInt16BE(2) & 0x0100) | (known.length === 0 ? 3 : 0), 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(addresses.length, 6);
  return Buffer.concat([header, query.subarray(headerBytes, question.end), ...addresses.map(toRecord)]);
}

interface Question {
  readonly name: string;
  readonly type: number;
  readonly end: number;
}

function readQuestion(query: Buffer): Question | undefined {
  const labels: string[] = [];
  let at = headerBytes;
  for (let length = query[at] ?? 0; length !== 0; length = query[at] ?? 0) {
    if (length > 63 || labels.length === maxLabels) return undefined;
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  const end = at + 5;
  return end > query.length
    ? undefined
    : { name: labels.join('.').toLowerCase(), type: query.readUInt16BE(at + 1), end };
}

/** The name is a pointer to the question's. */
function toRecord(address: string): Buffer {
  const record = Buffer.alloc(16);
  record.writeUInt16BE(0xc000 | headerBytes, 0);
  record.writeUInt16BE(typeA, 2);
  record.writeUInt16BE(1, 4);
  record.writeUInt32BE(ttlS, 6);
  record.writeUInt16BE(4, 10);
  record.set(address.split('.').map(Number), 12);
  return record;
}
