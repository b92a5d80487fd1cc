// `npm run docs`: writes the documents that are made from the code.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generatedDocuments } from './doc-tables.ts';

for (const { path, text } of generatedDocuments()) {
  writeFileSync(join(import.meta.dirname, '..', path), text);
  process.stdout.write(`wrote ${path}\n`);
}
