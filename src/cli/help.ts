// The texts of `--help`. The options of the agent are printed from the same table that parses them. Pure.

import type { Variable, VariableGroup } from '../config/env.ts';
import { variables } from '../config/env.ts';

const shownGroups: readonly VariableGroup[] = ['Agent', 'Cluster', 'Trust', 'Proxy', 'Operation'];

export function usageText(): string {
  return `flotilla <command>

  agent              run the agent (flotilla agent --help lists its options)
  keys list          show the key of the Portainer server that this cluster accepts
  keys forget        release it on all nodes, so that another Portainer can be associated
  health             ask the agent on this node how it is
  version            print the version
  help               print this

keys and health take --json and --control-socket <path>.
health ends with 0 when the agent is alive; with --ready, when it is ready too.
`;
}

export function agentHelpText(): string {
  const groups = shownGroups.map((group) => {
    const options = variables.filter((variable) => variable.group === group);
    return `${group}\n${options.map(optionText).join('')}`;
  });
  const edge = variables.filter(({ use }) => use === 'later').map(({ name }) => name);
  const ignored = variables.filter(({ use }) => use === 'ignored').map(({ name }) => name);
  return `flotilla agent [options]

Each option is a flag and an environment variable. A flag beats a variable; an empty variable counts as not set.

${groups.join('\n')}
Checked, but used by a later version only
${wrap(edge)}
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
