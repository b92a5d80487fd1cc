// What a member's own ping says that a client chooses its commands by, and what the cluster makes of it. Pure.

import type { ClusterView } from '../../cluster/cluster.ts';
import { headerValue } from '../headers.ts';
import type { FetchedPart } from '../proxy.ts';

export interface PingFacts {
  /** `2` where BuildKit is the engine's own builder. */
  readonly builder: string | undefined;
  readonly experimental: string | undefined;
}

export function pingFactsOf({ rawHeaders }: FetchedPart): PingFacts {
  return {
    builder: headerValue(rawHeaders, builderHeader),
    experimental: headerValue(rawHeaders, experimentalHeader),
  };
}

/**
 * The headers of this engine's ping, with what holds only if all members say so as those say it that are known. Without
 * the ones that describe the connection, or that each answer of the cluster carries.
 */
export function pingHeaders(
  rawHeaders: readonly string[],
  others: readonly PingFacts[],
  view: ClusterView,
): readonly string[] {
  const own = rawHeaders.filter((_item, index) => !dropped.has(nameAt(rawHeaders, index)));
  const changed = own.map((item, index) => {
    if (index % 2 === 0) return item;
    const name = nameAt(own, index);
    if (name === builderHeader && others.some(({ builder }) => builder !== item)) return legacyBuilder;
    if (name === experimentalHeader && others.some(({ experimental }) => experimental !== item))
      return 'false';
    return item;
  });
  if (!view.members.some(({ record }) => record.role === 'manager')) return changed;
  // Manager commands run wherever a manager is.
  const at = changed.findIndex((_item, index) => index % 2 === 1 && nameAt(changed, index) === swarmHeader);
  return at === -1 ? [...changed, 'Swarm', activeManager] : changed.with(at, activeManager);
}

const builderHeader = 'builder-version';
const experimentalHeader = 'docker-experimental';
const swarmHeader = 'swarm';
const activeManager = 'active/manager';
/** Every engine has the builder without BuildKit, except on a client's explicit wish. */
const legacyBuilder = '1';

const dropped: ReadonlySet<string> = new Set([
  'api-version',
  'connection',
  'content-length',
  'date',
  'keep-alive',
  'ostype',
  'server',
  'transfer-encoding',
]);

/** The lower-case name of the pair that the item at `index` belongs to. */
function nameAt(flat: readonly string[], index: number): string {
  return flat[index - (index % 2)]?.toLowerCase() ?? '';
}
