// What the rest of the agent knows of Edge mode: the key, what a poll says, and the parts that act on it.
// The agent only ever reaches out: it polls Portainer, and opens a tunnel when a poll asks for one.

/** What an Edge key says (protocol of Portainer: four fields, base64). Made by `parseEdgeKey` only. */
export interface EdgeKey {
  /** As it was given; this is what is kept and passed on. */
  readonly text: string;
  /** With scheme, without a trailing slash. */
  readonly portainerUrl: string;
  /** `host:port`, or with a scheme: `http(s)://…` is chisel, `ssh://…` a plain SSH server. */
  readonly tunnelAddress: string;
  /** Of the tunnel server's host key: padded base64 of SHA-256, or colon-separated MD5. Never empty. */
  readonly fingerprint: string;
  /** 0 is a global key: Portainer tells the id by the Edge ID. */
  readonly environmentId: number;
}

/** The key of this agent: one writer, kept in `DATA_PATH`. */
export interface EdgeKeys {
  current(): EdgeKey | undefined;
  /**
   * Keeps the key and makes it this agent's. Throws `request-invalid` when it is no key, `limit-exceeded` when another
   * one holds already, `unavailable` when it cannot be kept: then nothing has changed.
   */
  associate(text: string, from: KeySource): Promise<EdgeKey>;
  /** Calls back once a key holds, not for the one that held at the start. Returns the call that ends it. */
  onAssociated(listener: (key: EdgeKey, from: KeySource) => void): () => void;
}

export type KeySource = 'environment' | 'disk' | 'member' | 'page' | 'api';

/** What a good poll said. Made by `parsePollAnswer` only. */
export interface PollAnswer {
  /** `ACTIVE` comes from servers up to 2.20, once a tunnel was asked for. */
  readonly status: 'IDLE' | 'REQUIRED' | 'ACTIVE';
  /** To be opened on the server; 0 when none is wanted. */
  readonly port: number;
  /** Encrypted with the Edge ID; empty when none is wanted. */
  readonly credentials: string;
  /** Undefined: the interval stays as it is. */
  readonly checkinMs: number | undefined;
  /** Complete. */
  readonly schedules: readonly ScheduleJob[];
  /** Complete; undefined: leave the stacks as they are. */
  readonly stacks: readonly StackJob[] | undefined;
}

/** An edge job for the host's cron. Texts are as sent: whoever writes files of them checks them first. */
export interface ScheduleJob {
  readonly id: number;
  readonly cronExpression: string;
  /** Unpadded base64. */
  readonly script: string;
  readonly version: number;
  /** The log is wanted now. */
  readonly collectLogs: boolean;
}

/** A stack that Portainer wants here, in this version. */
export interface StackJob {
  readonly id: number;
  readonly version: number;
}

/** Portainer's API as an Edge agent sees it. Rejects with `unavailable` or `timeout` when nobody answers. */
export interface Portainer {
  /** Of the key. Ids of environments and stacks mean nothing to a Portainer of another one. */
  readonly url: string;
  /** The environment that this agent is; never 0. */
  readonly environmentId: number;
  /** Any status is an answer. The Edge ID header is added. */
  send(request: PortainerRequest, signal: AbortSignal): Promise<PortainerAnswer>;
}

export interface PortainerRequest {
  readonly method: 'GET' | 'POST' | 'PUT';
  /** Behind the base URL: `/api/…`. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Default 30 s, to the last byte. */
  readonly timeoutMs?: number;
  /** Default 4 MiB; beyond, it rejects with `limit-exceeded`. */
  readonly maxAnswerBytes?: number;
}

export interface PortainerAnswer {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/**
 * Makes the host as a good poll wants it. Called one at a time, with the newest list; a failed poll never calls it. It
 * throws when something could not be done: it is called again after the next poll. The signal ends it when this agent
 * is no longer the one that works (it lost the leadership) or stops.
 */
export interface ScheduleKeeper {
  apply(jobs: readonly ScheduleJob[], portainer: Portainer, signal: AbortSignal): Promise<void>;
}

/** The same for stacks; not called where the poll says nothing of them. */
export interface StackKeeper {
  apply(stacks: readonly StackJob[], portainer: Portainer, signal: AbortSignal): Promise<void>;
}

/** What the tunnel is to be. The same order again is no change. */
export interface TunnelOrder {
  /** Of the key. */
  readonly tunnelAddress: string;
  readonly fingerprint: string;
  /** To be opened on the server. */
  readonly port: number;
  /** As polled: encrypted with the Edge ID, which the tunnel was made with. */
  readonly credentials: string;
}

export interface Tunnel {
  /**
   * Wants it open, and returns at once; it is made again when lost, until `close`. The next attempt follows the newest
   * order. An open one is left alone, unless the order names another port or server: then it moves there at once, and its
   * streams end. Never throws: an order that cannot be followed is an attempt that failed, whose reason the state has.
   */
  open(order: TunnelOrder): void;
  /** No longer wanted: streams end. May be called at any time, and twice. Resolves when no socket or timer is left. */
  close(): Promise<void>;
  state(): TunnelState;
}

export type TunnelState =
  | { readonly kind: 'closed'; readonly why: 'not-wanted' | 'inactive' }
  | { readonly kind: 'connecting'; readonly port: number; readonly attempt: number }
  /** `sinceMs` is the wall clock. */
  | { readonly kind: 'open'; readonly port: number; readonly sinceMs: number; readonly channels: number }
  /** Failed or lost; tried again by itself. */
  | {
      readonly kind: 'waiting';
      readonly port: number;
      readonly attempt: number;
      readonly reason: string;
      readonly retryAtMs: number;
    };

/** Why Edge mode does what it does, for people and for readiness. */
export type EdgeState =
  /** No key yet; `pageOpen` says whether one can be given on the page. */
  | { readonly kind: 'unassociated'; readonly pageOpen: boolean }
  /** Another agent polls: the one on the Swarm's leader. */
  | { readonly kind: 'resting'; readonly reason: 'not-leader' }
  | {
      readonly kind: 'polling';
      readonly portainerUrl: string;
      readonly environmentId: number;
      readonly intervalMs: number;
      /** Wall clock; undefined before the first good poll. */
      readonly lastGoodMs: number | undefined;
      /** Of the last poll; undefined when it was good. */
      readonly failure: string | undefined;
      readonly tunnel: TunnelState;
    };
