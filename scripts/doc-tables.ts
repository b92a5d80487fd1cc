// Makes the documents that are tables of what the code says: CONFIG.md from the options, LIMITS.md from the named
// bounds, and with doc-routes.ts ROUTES.md. test/repository.test.ts compares them with what is committed.

import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Variable, VariableGroup } from '../src/config/env.ts';
import { variables } from '../src/config/env.ts';
import { routesDocument } from './doc-routes.ts';
import { row } from './markdown.ts';

export interface GeneratedDocument {
  readonly path: string;
  readonly text: string;
}

interface Limit {
  readonly file: string;
  readonly name: string;
  readonly value: string;
  readonly meaning: string;
}

const root = join(import.meta.dirname, '..');

/** Thresholds of our own rather than bounds of what somebody else can make grow. */
const notLimits = [
  'maxPort',
  'maxDurationMs',
  'maxGroupId',
  'maxCount',
  'maxTickAdvanceMs',
  'maxEngineAbsenceMs',
  'maxMismatches',
  'maxRivalMisses',
];

export function generatedDocuments(): readonly GeneratedDocument[] {
  return [
    { path: 'docs/CONFIG.md', text: configDocument() },
    { path: 'docs/LIMITS.md', text: limitsDocument() },
    { path: 'docs/ROUTES.md', text: routesDocument() },
  ];
}

const groupTitles: readonly (readonly [VariableGroup, string])[] = [
  ['Agent', ''],
  ['Cluster', ''],
  ['Trust', ''],
  ['Sockets', ''],
  ['Proxy', ''],
  ['Operation', ''],
  [
    'Edge',
    'Without `EDGE=true` none of these has an effect. Proxies are addresses, or `host:port` for an HTTP proxy.\n\n',
  ],
  ['Not used', 'Accepted and ignored, so that the files of the Portainer agent work as they are.\n\n'],
];

function configDocument(): string {
  const sections = groupTitles.map(([group, note]) => {
    const rows = variables.filter((variable) => variable.group === group);
    const table = group === 'Not used' ? rows.map(ignoredRow) : rows.map(optionRow);
    const head =
      group === 'Not used'
        ? '| variable | why |\n| --- | --- |\n'
        : '| variable | flag | type | default | meaning |\n| --- | --- | --- | --- | --- |\n';
    return `## ${group}\n\n${note}${head}${table.join('')}`;
  });
  return `# Configuration

Made from \`src/config/env.ts\` by \`npm run docs\`. \`flotilla agent --help\` prints the same table.

Each option is an environment variable and, where one is named, a flag. A flag beats a variable, and a variable that is
empty counts as not set. All mistakes are reported at once, at the start, and end it with exit code 2.

| type | accepts |
| --- | --- |
| bool | \`1 t T TRUE true True 0 f F FALSE false False\`; as a flag \`--edge\` or \`--no-edge\` |
| duration | numbers with units (\`ns us ms s m h\`): \`500ms\`, \`5m\`, \`20h2s\`; more than 24.8 days counts as 24.8 days |
| ip | a literal IPv4 or IPv6 address, not a name |
| int list | integers separated by colons: \`1:2:3\` |
| host | a name or address, with or without a port: \`tasks.agent\`, \`10.0.0.1:7946\`, \`[fd00::1]:7946\` |
| seeds | several of those, separated by commas |
| listen | \`address:port\`, or \`off\` |
| mode | three octal digits, with or without a leading 0: \`0660\` |
| group | a name or a number |

A secret that consists of white space is refused, and so is a secret file that is empty: what was meant to be closed must
not be open. A file's last newline does not belong to the secret.

${sections.join('\n')}`;
}

function optionRow({ name, flags, type, choices, default: text, meaning }: Variable): string {
  const flag = flags.map((long) => `\`--${long}\``).join(' ');
  const kind = choices === undefined ? type : choices.map((choice) => `\`${choice}\``).join(' ');
  return row([`\`${name}\``, flag, kind, text === '' ? '' : `\`${text}\``, meaning]);
}

function ignoredRow({ name, meaning }: Variable): string {
  return row([`\`${name}\``, meaning]);
}

function limitsDocument(): string {
  const rows = findLimits().map(({ file, name, value, meaning }) =>
    row([`\`${file}\``, `\`${name}\``, value, meaning]),
  );
  return `# Limits

Made from the constants named \`max…\` in \`src/\` by \`npm run docs\`: what anybody outside can make grow, and where it stops.
Behind each bound the behaviour is said by the code beside it, and a test reaches it.

Not bounded, on purpose: bodies and streams, which pass through with backpressure and are never held; their number is that
of the connections.

| file in src | name | value | why this much |
| --- | --- | --- | --- |
${rows.join('')}`;
}

/** Top-level constants, in the order of files and lines. The comment above belongs to the constant right below it. */
function findLimits(): readonly Limit[] {
  const files = globSync('**/*.ts', { cwd: join(root, 'src') }).filter((file) => !file.endsWith('.test.ts'));
  return files.toSorted().flatMap((file) => limitsOf(file, readFileSync(join(root, 'src', file), 'utf8')));
}

export function limitsOf(file: string, text: string): readonly Limit[] {
  const pattern =
    /(?:\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\n)?^(?:export )?const (max[A-Z]\w*)(?:: number)? = ([^;\n]+);/gm;
  return [...text.matchAll(pattern)]
    .map(([, comment = '', name = '', value = '']) => ({
      file: file.replace(/\.ts$/, ''),
      name,
      value: shownValue(name, value),
      meaning: comment
        .replaceAll(/\n\s*\*/g, ' ')
        .replaceAll(/\s+/g, ' ')
        .trim(),
    }))
    .filter(({ name }) => !notLimits.includes(name));
}

/** Products of numbers are multiplied out, with the unit that the name ends with. */
function shownValue(name: string, expression: string): string {
  if (!/^[\d_\s*]+$/.test(expression)) return `\`${expression}\``;
  const value = expression
    .replaceAll('_', '')
    .split('*')
    .reduce((product, factor) => product * Number(factor), 1);
  if (name.endsWith('Bytes')) return bytesText(value);
  return name.endsWith('Ms') ? `${value} ms` : value.toLocaleString('en');
}

function bytesText(bytes: number): string {
  if (bytes % 1_048_576 === 0) return `${bytes / 1_048_576} MiB`;
  return bytes % 1_024 === 0 ? `${bytes / 1_024} KiB` : `${bytes} bytes`;
}
