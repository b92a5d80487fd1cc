// The requests of a poll, exactly as Portainer documents them, and what the refusals mean. Pure.

import type { PortainerAnswer, PortainerRequest } from './edge.ts';
import type { PollRoute } from './poll-plan.ts';

/** What every poll says of this agent. */
export interface PollIdentity {
  /** `X.Y.Z`; the server treats agents below 2.19.0 differently. */
  readonly agentVersion: string;
  readonly timeZone: string;
  readonly updateId: number;
}

/** For environments that create themselves, which only the business edition does. */
export interface GlobalKeyMeta {
  readonly edgeGroupIds: readonly number[];
  readonly tagIds: readonly number[];
  readonly environmentGroupId: number;
}

/** Docker, and Podman too. Without it the server answers 400. */
const dockerPlatform = '1';

export function toStatusRequest(
  environmentId: number,
  route: PollRoute,
  { agentVersion, timeZone, updateId }: PollIdentity,
  ifNoneMatch: string,
): PortainerRequest {
  const base = `/api/endpoints/${environmentId}`;
  return {
    method: 'GET',
    path: route === 'older' ? `${base}/status` : `${base}/edge/status`,
    headers: {
      'Portainer-Agent': agentVersion,
      'Portainer-Agent-Platform': dockerPlatform,
      'X-PortainerAgent-TimeZone': timeZone,
      'X-PortainerAgent-Update-ID': String(updateId),
      // Always there, empty at first.
      'If-None-Match': ifNoneMatch,
    },
  };
}

export function toGlobalKeyRequest({
  edgeGroupIds,
  tagIds,
  environmentGroupId,
}: GlobalKeyMeta): PortainerRequest {
  const isEmpty = edgeGroupIds.length === 0 && tagIds.length === 0 && environmentGroupId === 0;
  const meta = { edgeGroupsIds: edgeGroupIds, tagsIds: tagIds, environmentGroupId };
  return { method: 'POST', path: '/api/endpoints/global-key', json: isEmpty ? {} : meta };
}

/** A refusal in words that say what to do. */
export function describeRefusal({ status, body, headers }: PortainerAnswer): string {
  const said = messageOf(body);
  const words = said === undefined ? '' : `: ${said}`;
  switch (status) {
    case 403:
      return `403 refused${words} (the environment was deleted, is not trusted yet, or belongs to another EDGE_ID)`;
    case 400:
      return `400 not understood${words} (is EDGE_KEY of this Portainer, and is it Portainer that answers?)`;
    case 404:
      return `404 not found${words} (no Portainer at this address, or no such environment)`;
    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
      return `${status} sends the agent elsewhere: ${shown(headers.location ?? 'nowhere')} (is there a login page before Portainer?)`;
    default:
      return status >= 500
        ? `${status} from Portainer or a proxy before it${words}`
        : `${status} unexpected${words}`;
  }
}

/** `{"message","details"}`; anything else is a proxy's page, which tells nothing in one line. */
function messageOf(body: string): string | undefined {
  try {
    const value: unknown = JSON.parse(body);
    if (typeof value !== 'object' || value === null) return undefined;
    const { message, details } = value as Readonly<Record<string, unknown>>;
    const texts = [message, details].filter((text) => typeof text === 'string' && text !== '');
    return texts.length === 0 ? undefined : [...new Set(texts)].map(String).map(shown).join('; ');
  } catch {
    return undefined;
  }
}

function shown(text: string): string {
  const maxShown = 200;
  return text.length > maxShown ? `${text.slice(0, maxShown)}…` : text;
}
