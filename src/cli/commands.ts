// Every command for people, with its words and options, each listed once: parsed, explained and completed from here.
// The options of `agent` are in config/env.ts.

export type CommandName = 'nodes' | 'doctor' | 'context' | 'keys' | 'health' | 'completion';

export interface CommandSpec {
  readonly name: CommandName;
  /** The words that may follow, with what they do. Empty: none, or names of nodes. */
  readonly verbs: readonly { readonly verb: string; readonly meaning: string }[];
  readonly takesNodes?: true;
  readonly meaning: string;
  readonly options: readonly OptionSpec[];
}

export interface OptionSpec {
  readonly name: string;
  /** What follows it; without this it is a switch. */
  readonly value?: string;
  /** How that is completed. */
  readonly completes?: 'file' | 'node';
  readonly repeated?: true;
  readonly meaning: string;
}

const json: OptionSpec = { name: 'json', meaning: 'print JSON; its keys are kept from version to version' };
const controlSocket: OptionSpec = {
  name: 'control-socket',
  value: 'path',
  completes: 'file',
  meaning:
    'where the agent of this node is asked; default FLOTILLA_CONTROL_SOCKET, /run/flotilla/control.sock',
};

export const commandSpecs: readonly CommandSpec[] = [
  {
    name: 'nodes',
    verbs: [],
    takesNodes: true,
    meaning: 'list the nodes of the cluster, the missing ones too',
    options: [{ name: 'quiet', meaning: 'print names only, one a line' }, json, controlSocket],
  },
  {
    name: 'doctor',
    verbs: [],
    takesNodes: true,
    meaning: 'say why a node is missing or the cluster does not form, and what to do',
    options: [json, controlSocket],
  },
  {
    name: 'context',
    verbs: [
      { verb: 'create', meaning: 'make Docker contexts for the cluster and for each node' },
      { verb: 'list', meaning: 'print what would be made' },
      { verb: 'rm', meaning: 'remove the contexts that were made' },
    ],
    meaning: 'point the docker CLI at the cluster',
    options: [
      {
        name: 'prefix',
        value: 'name',
        meaning: 'name of the contexts, `name` and `name-<node>`; default flotilla',
      },
      {
        name: 'host',
        value: 'ssh://[user@]host[:port]',
        meaning: 'reach the sockets of that host over SSH; needs a docker CLI 24.0 or newer',
      },
      {
        name: 'sockets',
        value: 'folder',
        completes: 'file',
        meaning: 'folder of docker.sock and nodes/; default FLOTILLA_SOCKET_DIR, /run/flotilla',
      },
      {
        name: 'node',
        value: 'name',
        completes: 'node',
        repeated: true,
        meaning: 'this node only; may be repeated',
      },
      { name: 'docker', value: 'path', completes: 'file', meaning: 'the docker CLI to use; default docker' },
      json,
      controlSocket,
    ],
  },
  {
    name: 'keys',
    verbs: [
      { verb: 'list', meaning: 'show the key of the Portainer server that this cluster accepts' },
      {
        verb: 'forget',
        meaning: 'release it on all nodes, so that another Portainer can be associated',
      },
    ],
    meaning: 'which Portainer the cluster belongs to',
    options: [json, controlSocket],
  },
  {
    name: 'health',
    verbs: [],
    meaning: 'ask the agent on this node how it is; ends with 0 when it is alive',
    options: [{ name: 'ready', meaning: 'end with 0 only when it is ready too' }, json, controlSocket],
  },
  {
    name: 'completion',
    verbs: [
      { verb: 'bash', meaning: 'source <(flotilla completion bash)' },
      { verb: 'zsh', meaning: 'source <(flotilla completion zsh)' },
      { verb: 'fish', meaning: 'flotilla completion fish | source' },
    ],
    meaning: 'print a script that completes commands, options and node names',
    options: [],
  },
];

export function commandSpec(name: string): CommandSpec | undefined {
  return commandSpecs.find((spec) => spec.name === name);
}
