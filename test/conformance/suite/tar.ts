// The few bytes of a tar archive around one file (POSIX ustar). Pure.

const blockBytes = 512;

/** The header of a file whose content follows; its length must be a multiple of 512. */
export function tarHead(name: string, bytes: number): Buffer {
  const head = Buffer.alloc(blockBytes);
  head.write(name, 0);
  head.write('0000644\0', 100);
  head.write('0000000\0', 108);
  head.write('0000000\0', 116);
  head.write(`${bytes.toString(8).padStart(11, '0')}\0`, 124);
  head.write('00000000000\0', 136);
  head.write('        ', 148);
  head.write('0', 156);
  head.write('ustar\x0000', 257);
  const sum = head.reduce((total, byte) => total + byte, 0);
  head.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return head;
}

export function tarTail(): Buffer {
  return Buffer.alloc(2 * blockBytes);
}
