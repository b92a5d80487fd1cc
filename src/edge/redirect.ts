// Decides whether a redirect of Portainer's is followed, and where to. Pure.
// The Edge ID is a secret: it goes to another host never, and to the same one only over what is as safe or safer.

import type { PortainerAnswer, PortainerRequest } from './edge.ts';

/** Undefined: the answer is taken as it is. */
export function nextUrl(
  from: URL,
  { status, headers }: Pick<PortainerAnswer, 'status' | 'headers'>,
  method: PortainerRequest['method'],
): URL | undefined {
  // The first three turn other methods into GET, which Portainer's routes do not mean.
  const follows = method === 'GET' ? [301, 302, 303, 307, 308] : [307, 308];
  if (!follows.includes(status) || headers.location === undefined) return undefined;
  const to = URL.parse(headers.location, from.href);
  if (to === null || to.hostname !== from.hostname) return undefined;
  const isSame = to.protocol === from.protocol && to.port === from.port;
  const isSafer = from.protocol === 'http:' && to.protocol === 'https:';
  return isSame || isSafer ? to : undefined;
}
