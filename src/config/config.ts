// The typed configuration, grouped by the module that gets each group. Deeply readonly; values only.

export type LogLevel = 'ERROR' | 'WARN' | 'INFO' | 'DEBUG';
export type LogMode = 'NOCOLOR' | 'PRETTY' | 'JSON';

export interface Config {
  readonly agent: AgentConfig;
  readonly api: ApiConfig;
  readonly auth: AuthConfig;
  readonly browse: BrowseConfig;
  readonly cluster: ClusterConfig;
  readonly dockerHub: DockerHubConfig;
  /** Undefined: Portainer connects to this agent. */
  readonly edge: EdgeConfig | undefined;
  readonly fanOut: FanOutConfig;
  readonly log: LogConfig;
  readonly sockets: SocketsConfig;
}

export interface AgentConfig {
  /** Version told to Portainer in `Portainer-Agent` (X.Y.Z, not below 2.19.0). */
  readonly portainerVersion: string;
  /** Folder for state that survives restarts. */
  readonly dataPath: string;
  /** The engine's unix socket. */
  readonly dockerSocket: string;
  /** Where the host's `/` is mounted. */
  readonly hostRoot: string;
  readonly podman: boolean;
}

export interface ApiConfig {
  readonly host: string;
  readonly port: number;
  /** Idle keep-alive of client connections, milliseconds; at least 120 s (agent-api.md 3.1). */
  readonly keepAliveMs: number;
  /** How long streams in progress may go on after SIGTERM, milliseconds. */
  readonly drainMs: number;
  /** Undefined: no metrics listener. */
  readonly metrics: { readonly host: string; readonly port: number } | undefined;
  /** Unix socket, mode 0600, on which `flotilla keys` and `flotilla health` reach the running agent. */
  readonly controlSocket: string;
}

export interface AuthConfig {
  /** `AGENT_SECRET`: signed instead of the fixed text, and shared by all agents. */
  readonly secret: string | undefined;
  /** The compat listener closes this long after the start when nothing was associated, milliseconds. */
  readonly associationTimeoutMs: number;
  /** `DATA_PATH`: where the association is kept. */
  readonly dataPath: string;
}

export interface BrowseConfig {
  /** Whether the host's files can be browsed; volumes always can. */
  readonly hostBrowse: boolean;
}

export interface ClusterConfig {
  /** Closes the gossip and gives member records authority; `AGENT_SECRET` doubles as it when it stands alone. */
  readonly secret: string | undefined;
  /** Host name or address that resolves to the other agents; the port, if given, was dropped. */
  readonly addr: string | undefined;
  /** Static seeds, `host` or `host:port`. */
  readonly seeds: readonly Seed[];
  readonly advertiseAddr: string | undefined;
  readonly apiPort: number;
  readonly gossipPort: number;
  readonly peerPort: number;
  readonly probeTimeoutMs: number;
  readonly probeIntervalMs: number;
}

export interface Seed {
  readonly host: string;
  readonly port: number;
}

/** Undefined: none. */
export interface ProxiesConfig {
  readonly http: string | undefined;
  readonly https: string | undefined;
  /** Hosts that are reached directly, separated by commas. */
  readonly except: string | undefined;
}

export interface EdgeConfig {
  /** Portainer's proof of who polls, and what tunnel credentials are encrypted with. */
  readonly id: string;
  /** As it was given; undefined: kept, told by another agent, or asked for. */
  readonly key: string | undefined;
  readonly dataPath: string;
  readonly page: { readonly host: string; readonly port: number };
  readonly tunnel: boolean;
  readonly inactivityMs: number;
  readonly insecurePoll: boolean;
  readonly proxies: ProxiesConfig;
  /** Undefined members: not given. */
  readonly mtls:
    | { readonly cert: string | undefined; readonly key: string | undefined; readonly ca: string | undefined }
    | undefined;
  readonly meta: {
    readonly edgeGroupIds: readonly number[];
    readonly tagIds: readonly number[];
    readonly environmentGroupId: number;
  };
  readonly updateId: number;
  readonly timeZone: string | undefined;
  /** Folder with the binaries that deploy stacks. */
  readonly assetsPath: string;
}

export interface FanOutConfig {
  /** To the first byte of a member's part of a merged answer, milliseconds. */
  readonly memberTimeoutMs: number;
  /** The same for slow classes (`size=1`, `system/df`). */
  readonly slowMemberTimeoutMs: number;
}

export type SocketsWhere = 'all' | 'managers' | 'off';

export interface SocketsConfig {
  /** `managers`: only while this node is a manager of its Swarm. */
  readonly where: SocketsWhere;
  /** Undefined: `/run/flotilla` of the host, wherever that is seen from here. */
  readonly dir: string | undefined;
  /** Permission bits of the sockets. */
  readonly mode: number;
  /** Undefined: the group of the engine's own socket. */
  readonly group: string | number | undefined;
  /** Whether a merged list with a node missing is refused, also when the client did not ask for that. */
  readonly strict: boolean;
}

export interface DockerHubConfig {
  /** Origin that gives out tokens, such as `https://auth.docker.io`. */
  readonly authUrl: string;
  readonly registryUrl: string;
  /** Those of Edge mode, also without it. */
  readonly proxies: ProxiesConfig;
}

export interface LogConfig {
  readonly level: LogLevel;
  readonly mode: LogMode;
}
