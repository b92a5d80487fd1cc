// Resolves names quickly and never hangs: DNS over c-ares with a short timeout, then the system's own resolver.
// getaddrinfo alone will not do: with DNS dead it blocks a thread for seconds and misses the moment it is back.

import { lookup, Resolver } from 'node:dns/promises';
import { isIP } from 'node:net';
import { AgentError } from '../errors.ts';

const resolverTimeoutMs = 800;

/** Returns literal addresses without duplicates. Rejects when no resolver knows the name. */
export type Lookup = (host: string, signal: AbortSignal) => Promise<readonly string[]>;

/** Without `servers` (`address:port`) those of the system are asked. */
export function createLookup(servers?: readonly string[]): Lookup {
  const resolver = new Resolver({ timeout: resolverTimeoutMs, tries: 1 });
  if (servers !== undefined) resolver.setServers(servers);
  /** Names that getaddrinfo is asked for now: one question each, or a dead DNS would fill the thread pool. */
  const pending = new Set<string>();

  const bySystem = async (host: string): Promise<readonly string[]> => {
    if (pending.has(host))
      throw new AgentError('timeout', `look up ${host}: the system is still busy with it`);
    pending.add(host);
    try {
      return (await lookup(host, { all: true })).map((answer) => answer.address);
    } finally {
      pending.delete(host);
    }
  };
  return async (host, signal) => {
    signal.throwIfAborted();
    if (isIP(host) !== 0) return [host];
    const asked = Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
    const answers = await unlessAborted(asked, host, signal);
    const addresses = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
    if (addresses.length > 0) return [...new Set(addresses)];
    // Names from the hosts file and short names with a search domain are known to the system only.
    const timeout = AbortSignal.any([signal, AbortSignal.timeout(resolverTimeoutMs)]);
    return [...new Set(await unlessAborted(bySystem(host), host, timeout))];
  };
}

async function unlessAborted<T>(work: Promise<T>, host: string, signal: AbortSignal): Promise<T> {
  const late = Promise.withResolvers<never>();
  const onAbort = (): void => late.reject(new AgentError('timeout', `look up ${host}: no answer`));
  signal.addEventListener('abort', onAbort, { once: true });
  // A signal that was aborted before tells no listener.
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
