// The form in which the UI sends a file: the file first, then where it goes. Pure but for the boundary.

import { randomBytes } from 'node:crypto';

export interface Upload {
  readonly folder: string;
  /** As the browser names it. */
  readonly name: string;
  readonly bytes: Buffer;
}

export interface UploadForm {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

export function uploadForm({ folder, name, bytes }: Upload): UploadForm {
  const boundary = `boundary${randomBytes(8).toString('hex')}`;
  const part = (disposition: string, type: string): string =>
    `--${boundary}\r\nContent-Disposition: form-data; ${disposition}\r\n${type}\r\n`;
  const body = Buffer.concat([
    Buffer.from(part(`name="file"; filename="${name}"`, 'Content-Type: application/octet-stream\r\n')),
    bytes,
    Buffer.from(`\r\n${part('name="Path"', '')}${folder}\r\n--${boundary}--\r\n`),
  ]);
  return { headers: { 'Content-Type': `multipart/form-data; boundary=${boundary}` }, body };
}
