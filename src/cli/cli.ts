// The command line: finds the command, hands it its words, and turns its end into an exit code.
// 0 is success, 1 a failure, 2 a mistake in the words. Commands are loaded when used: `health` must stay light.

import { AgentError, reasonOf } from '../errors.ts';
import { agentVersion } from '../version.ts';
import { commandSpec } from './commands.ts';
import { commandHelpText, usageText } from './help.ts';

const exitCodes = { success: 0, failure: 1, usage: 2 } as const;

type Command = (argv: readonly string[]) => Promise<number>;

/** `agent` explains itself; what the others take is in commands.ts. */
const commands: Readonly<Record<string, Command>> = {
  agent: async (argv) => (await import('./agent.ts')).runAgentCommand(argv),
  nodes: async (argv) => (await import('./nodes.ts')).runNodes(argv),
  doctor: async (argv) => (await import('./doctor.ts')).runDoctor(argv),
  context: async (argv) => (await import('./context.ts')).runContext(argv),
  keys: async (argv) => (await import('./keys.ts')).runKeys(argv),
  health: async (argv) => (await import('./health.ts')).runHealth(argv),
  completion: async (argv) => (await import('./completion.ts')).runCompletion(argv),
  version: async () => print(`${agentVersion}\n`),
  help: async () => print(usageText()),
};

const aliases: Readonly<Record<string, string>> = { '--version': 'version', '--help': 'help', '-h': 'help' };

export async function runCli(argv: readonly string[]): Promise<number> {
  const [word, ...rest] = argv;
  const command = commands[aliases[word ?? ''] ?? word ?? ''];
  if (command === undefined) {
    const fault = word === undefined ? 'a command is needed' : `no such command: ${JSON.stringify(word)}`;
    process.stderr.write(`flotilla: ${fault}\n\n${usageText()}`);
    return exitCodes.usage;
  }
  const spec = commandSpec(word ?? '');
  if (spec !== undefined && rest.some((one) => one === '--help' || one === '-h'))
    return print(commandHelpText(spec));
  try {
    return await command(rest);
  } catch (error) {
    process.stderr.write(`flotilla ${word}: ${reasonOf(error)}\n`);
    return error instanceof AgentError && error.code === 'config-invalid'
      ? exitCodes.usage
      : exitCodes.failure;
  }
}

function print(text: string): number {
  process.stdout.write(text);
  return exitCodes.success;
}
