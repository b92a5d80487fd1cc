// `flotilla completion bash|zsh|fish`: scripts that complete commands, words, options and the names of nodes.
// All of it is printed from the same tables that parse the command line; nodes are asked for when they are needed.

import { variables } from '../config/env.ts';
import { commandSpecs, type OptionSpec } from './commands.ts';
import { parseWords } from './words.ts';

export function runCompletion(argv: readonly string[]): Promise<number> {
  const { verb = '' } = parseWords('completion', argv);
  process.stdout.write(completionText(verb));
  return Promise.resolve(0);
}

export function completionText(shell: string): string {
  if (shell === 'zsh') return zshText();
  return shell === 'fish' ? fishText() : bashText();
}

/** What may follow a command. */
interface Completed {
  readonly name: string;
  readonly meaning: string;
  readonly verbs: readonly string[];
  readonly takesNodes: boolean;
  readonly options: readonly Pick<OptionSpec, 'name' | 'value' | 'completes' | 'meaning'>[];
}

const help = { name: 'help', meaning: 'list the options' };

function completedCommands(): readonly Completed[] {
  const agentOptions = variables.flatMap(({ flags, type, meaning }) =>
    flags.slice(0, 1).map((name) => ({
      name,
      meaning,
      ...(type === 'bool' ? {} : { value: type }),
      ...(type === 'path' ? { completes: 'file' as const } : {}),
    })),
  );
  return [
    {
      name: 'agent',
      meaning: 'run the agent',
      verbs: [],
      takesNodes: false,
      options: [...agentOptions, help],
    },
    ...commandSpecs.map(({ name, meaning, verbs, takesNodes, options }) => ({
      name,
      meaning,
      verbs: verbs.map(({ verb }) => verb),
      takesNodes: takesNodes === true,
      options: [...options, help],
    })),
    { name: 'version', meaning: 'print the version', verbs: [], takesNodes: false, options: [] },
    { name: 'help', meaning: 'list the commands', verbs: [], takesNodes: false, options: [] },
  ];
}

/**
 * Options whose value is completed like this, as patterns of a shell's `case` over the command and the word before: an
 * option may mean something else to another command.
 */
function optionsThat(completes: 'file' | 'node' | 'text'): string {
  return completedCommands()
    .flatMap(({ name: command, options }) =>
      options
        .filter(({ value, completes: how }) => value !== undefined && (how ?? 'text') === completes)
        .map(({ name }) => `'${command} --${name}'`),
    )
    .join('|');
}

function caseLines(words: (command: Completed) => string, indent: string): string {
  return completedCommands()
    .map((command) => [command.name, words(command)] as const)
    .filter(([, text]) => text !== '')
    .map(([name, text]) => `${indent}${name}) ${text} ;;\n`)
    .join('');
}

const optionWords = ({ options }: Completed): string => options.map(({ name }) => `--${name}`).join(' ');
const commandNames = (): string =>
  completedCommands()
    .map(({ name }) => name)
    .join(' ');

function bashText(): string {
  return `# bash completion of flotilla: source <(flotilla completion bash)
_flotilla() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}" words=''
  if (( COMP_CWORD == 1 )); then
    words='${commandNames()}'
  else
    case "\${COMP_WORDS[1]} $prev" in
      ${optionsThat('file')}) COMPREPLY=($(compgen -f -- "$cur")); return ;;
      ${optionsThat('node')}) words="$(flotilla nodes --quiet 2>/dev/null)" ;;
      ${optionsThat('text')}) return ;;
      *)
        if [[ $cur == -* ]]; then
          case "\${COMP_WORDS[1]}" in
${caseLines((command) => (command.options.length > 0 ? `words='${optionWords(command)}'` : ''), '            ')}          esac
        else
          case "\${COMP_WORDS[1]}" in
${caseLines(({ verbs }) => (verbs.length > 0 ? `(( COMP_CWORD == 2 )) && words='${verbs.join(' ')}'` : ''), '            ')}\
${caseLines(({ takesNodes }) => (takesNodes ? 'words="$(flotilla nodes --quiet 2>/dev/null)"' : ''), '            ')}          esac
        fi ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -F _flotilla flotilla
`;
}

function zshText(): string {
  return `#compdef flotilla
# zsh completion of flotilla: source <(flotilla completion zsh)
_flotilla() {
  if (( CURRENT == 2 )); then
    compadd -- ${commandNames()}
    return
  fi
  case "\${words[2]} \${words[CURRENT-1]}" in
    ${optionsThat('file')}) _files; return ;;
    ${optionsThat('node')}) compadd -- \${(f)"$(flotilla nodes --quiet 2>/dev/null)"}; return ;;
    ${optionsThat('text')}) return ;;
  esac
  if [[ $PREFIX == -* ]]; then
    case "\${words[2]}" in
${caseLines((command) => (command.options.length > 0 ? `compadd -- ${optionWords(command)}` : ''), '      ')}    esac
    return
  fi
  case "\${words[2]}" in
${caseLines(({ verbs }) => (verbs.length > 0 ? `(( CURRENT == 3 )) && compadd -- ${verbs.join(' ')}` : ''), '    ')}\
${caseLines(({ takesNodes }) => (takesNodes ? `compadd -- \${(f)"$(flotilla nodes --quiet 2>/dev/null)"}` : ''), '    ')}  esac
}
compdef _flotilla flotilla
`;
}

function fishText(): string {
  const lines = completedCommands().flatMap(({ name, meaning, verbs, takesNodes, options }) => {
    const within = `-n '__fish_seen_subcommand_from ${name}'`;
    return [
      `complete -c flotilla -n __fish_use_subcommand -a ${name} -d ${quote(meaning)}`,
      ...(verbs.length > 0 ? [`complete -c flotilla ${within} -a '${verbs.join(' ')}'`] : []),
      ...(takesNodes ? [`complete -c flotilla ${within} -a '(flotilla nodes --quiet 2>/dev/null)'`] : []),
      ...options.map(
        (option) =>
          `complete -c flotilla ${within} -l ${option.name}${fishValue(option)} -d ${quote(option.meaning)}`,
      ),
    ];
  });
  return `# fish completion of flotilla: flotilla completion fish | source
complete -c flotilla -f
${lines.join('\n')}
`;
}

function fishValue({ value, completes }: Pick<OptionSpec, 'value' | 'completes'>): string {
  if (value === undefined) return '';
  if (completes === 'file') return ' -r -F';
  return completes === 'node' ? " -x -a '(flotilla nodes --quiet 2>/dev/null)'" : ' -x';
}

function quote(text: string): string {
  return `'${text.replaceAll(/['\\]/g, '\\$&')}'`;
}
