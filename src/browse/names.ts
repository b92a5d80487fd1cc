// File names are bytes; JSON and the UI know text only. Shows any name as text, and reads that text back as the same bytes.
// Pure. Valid UTF-8 is shown as it is. A byte that is not, and each byte of the mark itself, is U+FFFD and two hex digits.

const mark = '\uFFFD';
const markBytes = Buffer.from(mark);
const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** `a<FF>` becomes `a�FF`: it survives JSON, an URL and a page, which a lone surrogate or a plain U+FFFD would not. */
export function showName(name: Buffer): string {
  if (!name.includes(markBytes)) {
    try {
      return strict.decode(name);
    } catch {
      // Not UTF-8: told byte by byte below.
    }
  }
  let text = '';
  for (let at = 0; at < name.length; ) {
    const length = sequenceLength(name, at);
    const piece = name.subarray(at, at + Math.max(length, 1));
    const shown = length > 0 && !piece.equals(markBytes);
    text += shown ? piece.toString('utf8') : [...piece].map(escaped).join('');
    at += piece.length;
  }
  return text;
}

/** The bytes that a text stands for. Also reads bytes that came as they are: only the marks in them are replaced. */
export function readName(text: string | Buffer): Buffer {
  const bytes = typeof text === 'string' ? Buffer.from(text) : text;
  if (!bytes.includes(markBytes)) return bytes;
  const result: Buffer[] = [];
  let from = 0;
  for (let at = bytes.indexOf(markBytes); at !== -1; at = bytes.indexOf(markBytes, at)) {
    const digits = bytes.toString('latin1', at + markBytes.length, at + markBytes.length + 2);
    if (!/^[89A-F][0-9A-F]$/.test(digits)) {
      // The character itself, typed by somebody. ASCII is never shown so: `�2F` must not become a slash (attack A-50).
      at += markBytes.length;
      continue;
    }
    result.push(bytes.subarray(from, at), Buffer.from(digits, 'hex'));
    at += markBytes.length + 2;
    from = at;
  }
  return Buffer.concat([...result, bytes.subarray(from)]);
}

function escaped(byte: number): string {
  return `${mark}${byte.toString(16).toUpperCase().padStart(2, '0')}`;
}

/** The length of the UTF-8 character at this place, the shortest that decodes; 0 where there is none. */
function sequenceLength(bytes: Buffer, at: number): number {
  for (let length = 1; length <= 4 && at + length <= bytes.length; length += 1) {
    try {
      strict.decode(bytes.subarray(at, at + length));
      return length;
    } catch {
      // Cut short, or none at all.
    }
  }
  return 0;
}
