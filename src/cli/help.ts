// The texts of `--help`. The options of the agent are printed from the same table that parses them. Pure.

import type { Variable, VariableGroup } from '../config/env.ts';
import { variables } from '../config/env.ts';
import { type CommandSpec, commandSpecs } from './commands.ts';

const shownGroups: readonly VariableGroup[] = [
  'Agent',
  'Cluster',
  'Trust',
  'Sockets',
  'Proxy',
  'Operation',
  'Edge',
];

export function usageText(): string {
  const commands = [
    ['agent', 'run the agent (flotilla agent --help lists its options)'],
    ...commandSpecs.flatMap(({ name, verbs, takesNodes, meaning }) =>
      verbs.length === 0 || name === 'completion'
        ? [[`${name}${takesNodes === true ? ' [node…]' : verbsText(verbs)}`, meaning]]
        : verbs.map((one) => [`${name} ${one.verb}`, one.meaning]),
    ),
    ['version', 'print the version'],
    ['help', 'print this; flotilla <command> --help lists the options of one'],
  ];
  return `flotilla <command>

${indentedTable(commands)}
nodes, doctor, context, keys and health ask the agent of this node over its control socket. They take --json, and end with
0 when all is well, 1 when it is not, and 2 when a word was wrong.
`;
}

export function commandHelpText({ name, verbs, takesNodes, meaning, options }: CommandSpec): string {
  const words = takesNodes === true ? ' [node…]' : verbsText(verbs);
  const shown = options.map((option) => [
    `--${option.name}${option.value === undefined ? '' : ` <${option.value}>`}`,
    option.meaning,
  ]);
  const parts = [
    `flotilla ${name}${words}${options.length > 0 ? ' [options]' : ''}`,
    `  ${meaning}\n`,
    indentedTable(verbs.map((one) => [one.verb, one.meaning])),
    indentedTable(shown),
  ];
  return `${parts.filter((part) => part !== '').join('\n')}`;
}

function verbsText(verbs: CommandSpec['verbs']): string {
  return verbs.length === 0 ? '' : ` ${verbs.map(({ verb }) => verb).join('|')}`;
}

function indentedTable(rows: readonly (readonly string[])[]): string {
  const width = Math.max(0, ...rows.map(([left = '']) => left.length)) + 2;
  return rows.map(([left = '', right = '']) => `  ${left.padEnd(width)}${right}\n`).join('');
}

export function agentHelpText(): string {
  const groups = shownGroups.map((group) => {
    const options = variables.filter((variable) => variable.group === group);
    return `${group}\n${options.map(optionText).join('')}`;
  });
  const ignored = variables.filter(({ use }) => use === 'ignored').map(({ name }) => name);
  return `flotilla agent [options]

Each option is a flag and an environment variable. A flag beats a variable; an empty variable counts as not set.

${groups.join('\n')}
Accepted and ignored
${wrap(ignored)}`;
}

function optionText({ name, flags, type, choices, default: text, meaning }: Variable): string {
  const flag = flags.map((long) => `--${long}`).join(', ');
  const kind = choices === undefined ? type : choices.join('|');
  const shownDefault = text === '' ? '' : `, default ${text}`;
  return `  ${[flag, name].filter((part) => part !== '').join(', ')} (${kind}${shownDefault})\n      ${meaning}\n`;
}

function wrap(names: readonly string[]): string {
  const maxLineChars = 100;
  let line = ' ';
  let text = '';
  for (const name of names) {
    if (line.length + name.length + 1 > maxLineChars) {
      text += `${line}\n`;
      line = ' ';
    }
    line += ` ${name}`;
  }
  return `${text}${line}\n`;
}
