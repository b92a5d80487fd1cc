// Splits the command line of `flotilla agent` into options: `--name value`, `--name=value`, `--bool`, `--no-bool`.
// Pure. Knows the flags' names and whether they take a value, not what the values mean.

import type { Variable } from './env.ts';
import { ignoredFlagPrefix } from './env.ts';

export interface FlagValue {
  /** As it was written, for error messages: `--port`. */
  readonly flag: string;
  readonly text: string;
}

export interface ParsedFlags {
  /** By variable name. */
  readonly values: ReadonlyMap<string, FlagValue>;
  readonly faults: readonly string[];
}

interface Flag {
  readonly written: string;
  readonly name: string;
  /** After the equals sign; undefined without one. */
  readonly inline: string | undefined;
}

export function parseFlags(argv: readonly string[], variables: readonly Variable[]): ParsedFlags {
  const values = new Map<string, FlagValue>();
  const faults: string[] = [];
  const rest = [...argv];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    const flag = splitFlag(word);
    if (flag === undefined) {
      faults.push(`${JSON.stringify(word)}: expected a flag, such as --port 9001`);
      continue;
    }
    const variable = findVariable(flag.name, variables);
    const text = variable?.type === 'bool' ? boolText(flag) : (flag.inline ?? rest.shift());
    const fault = faultOf(flag, variable, text, values);
    if (fault !== undefined) faults.push(`${flag.written}: ${fault}`);
    else if (variable !== undefined && text !== undefined)
      values.set(variable.name, { flag: flag.written, text });
  }
  return { values, faults };
}

/** The value of an unknown flag was taken before, so that it is not mistaken for a word of its own. */
function faultOf(
  flag: Flag,
  variable: Variable | undefined,
  text: string | undefined,
  values: ReadonlyMap<string, FlagValue>,
): string | undefined {
  if (variable === undefined) {
    return flag.name.startsWith(ignoredFlagPrefix) ? undefined : 'no such flag; see flotilla agent --help';
  }
  if (text === undefined) return variable.type === 'bool' ? 'takes no value' : 'needs a value';
  return values.has(variable.name) ? 'given more than once' : undefined;
}

function splitFlag(word: string): Flag | undefined {
  const match = /^--([a-z][a-z0-9-]*)(?:=(.*))?$/s.exec(word);
  if (match?.[1] === undefined) return undefined;
  return { written: `--${match[1]}`, name: match[1], inline: match[2] };
}

function findVariable(name: string, variables: readonly Variable[]): Variable | undefined {
  const exact = variables.find(({ flags }) => flags.includes(name));
  if (exact !== undefined || !name.startsWith('no-')) return exact;
  return variables.find(({ flags, type }) => type === 'bool' && flags.includes(name.slice(3)));
}

function boolText({ name, inline }: Flag): string | undefined {
  if (inline !== undefined) return undefined;
  return name.startsWith('no-') ? 'false' : 'true';
}
