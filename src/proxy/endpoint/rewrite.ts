// Writes a request's target anew where a part of it has to be said otherwise: everything else keeps its bytes. Pure.

import type { RouteMatch } from '../routes/route.ts';

/** The path of a route with these parameters, percent-encoded. Slashes stay: peers refuse them when encoded. */
export function filledPath({ route }: RouteMatch, params: Readonly<Record<string, string>>): string {
  return route.path.replaceAll(/\{([a-z]+)(?::[^}]*)?\}/gi, (_template, name: string) =>
    (params[name] ?? '').split('/').map(encodeURIComponent).join('/'),
  );
}

/** The query with the first value of this name replaced; `query` has its question mark. */
export function withQueryValue(query: string, name: string, value: string): string {
  let done = false;
  const pairs = query
    .slice(1)
    .split('&')
    .map((pair) => {
      const [key = ''] = pair.split('=', 1);
      if (done || new URLSearchParams(key).keys().next().value !== name) return pair;
      done = true;
      return `${key}=${encodeURIComponent(value)}`;
    });
  return `?${pairs.join('&')}`;
}
