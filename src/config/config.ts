// The typed configuration, grouped by the module that gets each group. Deeply readonly; values only.

export type LogLevel = 'ERROR' | 'WARN' | 'INFO' | 'DEBUG';
export type LogMode = 'NOCOLOR' | 'PRETTY' | 'JSON';

export interface Config {
  readonly agent: AgentConfig;
  readonly api: ApiConfig;
  readonly auth: AuthConfig;
  readonly cluster: ClusterConfig;
  readonly fanOut: FanOutConfig;
  readonly log: LogConfig;
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

export interface FanOutConfig {
  /** To the first byte of a member's part of a merged answer, milliseconds. */
  readonly memberTimeoutMs: number;
  /** The same for slow classes (`size=1`, `system/df`). */
  readonly slowMemberTimeoutMs: number;
}

export interface LogConfig {
  readonly level: LogLevel;
  readonly mode: LogMode;
}
