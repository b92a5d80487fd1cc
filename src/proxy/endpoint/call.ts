// One request on the cluster socket as the endpoint's parts see it, and what they give back.

import type { ClusterView } from '../../cluster/cluster.ts';
import type { Answer } from '../../exchange.ts';
import type { DockerTarget } from '../proxy.ts';

/** Parsed and admitted; one view of the members serves the whole call. */
export interface EndpointCall {
  readonly method: string;
  readonly target: DockerTarget;
  /** Decoded parameters of the route's path template. */
  readonly params: Readonly<Record<string, string>>;
  /** Flat name, value list as it came. */
  readonly rawHeaders: readonly string[];
  readonly view: ClusterView;
  /** Aborted when the client leaves. */
  readonly signal: AbortSignal;
  /** A hole in a merged answer becomes 503 (design.md, Honest partial answers). */
  readonly strict: boolean;
}

/** Answers a call with a whole body; the endpoint adds the headers that every answer carries. */
export type Handler = (call: EndpointCall) => Promise<Answer>;
