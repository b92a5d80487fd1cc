// Parses the words of a command by its entry in commands.ts, the same way for all commands.

import { parseArgs } from 'node:util';
import { readEnvironment, variables } from '../config/env.ts';
import { AgentError, toAgentError } from '../errors.ts';
import { type CommandName, commandSpec } from './commands.ts';

export interface Words {
  /** The first word, where the command has several ways; else undefined. */
  readonly verb: string | undefined;
  /** The words that are no options, behind the verb: names of nodes. */
  readonly nodes: readonly string[];
  /** Whether a switch was given. */
  has(option: string): boolean;
  /** The last value given; undefined when there is none, or an empty one. */
  value(option: string): string | undefined;
  values(option: string): readonly string[];
  readonly json: boolean;
  readonly socketPath: string;
}

/** Throws `config-invalid` for what the command does not know. */
export function parseWords(name: CommandName, argv: readonly string[]): Words {
  const spec = commandSpec(name);
  if (spec === undefined) throw new AgentError('config-invalid', `no such command: ${name}`);
  const { switches, texts, positionals } = parseOptions(name, argv);
  const hasVerb = spec.verbs.length > 0;
  const verb = hasVerb ? positionals[0] : undefined;
  const rest = hasVerb ? positionals.slice(1) : positionals;
  if (hasVerb && !spec.verbs.some((known) => known.verb === verb)) {
    const expected = spec.verbs.map((known) => `flotilla ${name} ${known.verb}`).join(', ');
    throw new AgentError('config-invalid', `expected one of: ${expected}`);
  }
  if (rest.length > 0 && spec.takesNodes !== true)
    throw new AgentError(
      'config-invalid',
      `flotilla ${name} does not take the word ${JSON.stringify(rest[0])}`,
    );
  const values = (option: string): readonly string[] => texts.get(option) ?? [];
  const value = (option: string): string | undefined => values(option).findLast((text) => text !== '');
  return {
    verb,
    nodes: rest,
    has: (option) => switches.has(option),
    value,
    values,
    json: switches.has('json'),
    socketPath: value('control-socket') ?? fromEnvironment('FLOTILLA_CONTROL_SOCKET'),
  };
}

interface Options {
  readonly switches: ReadonlySet<string>;
  readonly texts: ReadonlyMap<string, readonly string[]>;
  readonly positionals: readonly string[];
}

function parseOptions(name: CommandName, argv: readonly string[]): Options {
  const known = commandSpec(name)?.options ?? [];
  const options = Object.fromEntries(
    known.map(({ name: option, value }) =>
      value === undefined
        ? [option, { type: 'boolean' } as const]
        : [option, { type: 'string', multiple: true } as const],
    ),
  );
  try {
    const { values, positionals } = parseArgs({ args: [...argv], allowPositionals: true, options });
    const given = Object.entries(values);
    return {
      switches: new Set(given.filter(([, value]) => value === true).map(([option]) => option)),
      texts: new Map(
        given.flatMap(([option, value]) => (Array.isArray(value) ? [[option, value.map(String)]] : [])),
      ),
      positionals,
    };
  } catch (error) {
    throw toAgentError(error, 'config-invalid', 'read the command line');
  }
}

/** The variable as the agent would read it, with its default. */
export function fromEnvironment(variable: string): string {
  const given = readEnvironment()[variable] ?? '';
  return given !== '' ? given : (variables.find(({ name }) => name === variable)?.default ?? '');
}
