// Bytes that wait for a reader, as one piece however small the pieces were in which they came: a peer counts bytes in its
// window, and an object for each of them would cost hundreds of times as much.

export interface Backlog {
  bytes(): number;
  add(chunk: Buffer): void;
  /** All that waits, in one piece; nothing waits afterwards. */
  take(): Buffer;
}

const firstRoomBytes = 1_024;

/** Holds what it is given: whoever adds keeps to a bound. It takes up to twice that much memory. */
export function createBacklog(): Backlog {
  let room = Buffer.alloc(0);
  let length = 0;
  return {
    bytes: () => length,
    add(chunk): void {
      const needed = length + chunk.length;
      if (needed > room.length) {
        const larger = Buffer.allocUnsafeSlow(Math.max(needed, room.length * 2, firstRoomBytes));
        room.copy(larger, 0, 0, length);
        room = larger;
      }
      chunk.copy(room, length);
      length = needed;
    },
    take(): Buffer {
      const taken = room.subarray(0, length);
      room = Buffer.alloc(0);
      length = 0;
      return taken;
    },
  };
}
