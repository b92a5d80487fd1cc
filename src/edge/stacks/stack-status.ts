// The statuses of an Edge stack as Portainer counts them, and the request that reports one. Pure.

import type { PortainerAnswer, PortainerRequest } from '../edge.ts';

/** Those that an agent sends; the gaps are the server's own. */
export const statuses = {
  deploymentReceived: 1,
  error: 2,
  acknowledged: 3,
  removed: 4,
  imagesPulled: 6,
  running: 7,
  deploying: 8,
  removing: 9,
  completed: 13,
} as const;

export interface Report {
  readonly status: number;
  /** Never empty with status `error`: the server refuses that. */
  readonly error: string;
  readonly timeSeconds: number;
}

/** What an operator reads in Portainer; the end of a long output says why. */
const maxErrorChars = 2_000;

export function toReportRequest(
  stackId: number,
  environmentId: number,
  { status, error, timeSeconds }: Report,
): PortainerRequest {
  const text = status === statuses.error && error.trim() === '' ? 'unknown error' : error;
  return {
    method: 'PUT',
    path: `/api/edge_stacks/${stackId}/status`,
    headers: { 'X-Portainer-No-Body': '1' },
    json: {
      Error: text.slice(-maxErrorChars),
      Status: status,
      EndpointID: environmentId,
      Time: timeSeconds,
    },
  };
}

/** Of a proxy on the way, or of a server that wants it later: 407, 408, 429. */
const notNow: readonly number[] = [407, 408, 429];

/**
 * What an answer says of a report. `again` is whatever is not Portainer's last word: a failure, a redirect, and a page of
 * something between, because Portainer itself says JSON or nothing.
 */
export function verdictOf({ status, body }: Pick<PortainerAnswer, 'status' | 'body'>): Verdict {
  if (status >= 200 && status < 300) return /^\s*</.test(body) ? 'again' : 'taken';
  return status >= 400 && status < 500 && !notNow.includes(status) ? 'refused' : 'again';
}

export type Verdict = 'taken' | 'refused' | 'again';
