// Refuses an API version that is not spoken where a request is to run, in the engine's words and with the node's name,
// so that whoever pinned a version finds out which node it does not suit (users.md 19). Pure.

import { type Answer, dockerError } from '../../exchange.ts';
import { compareVersions, type VersionRange } from './versions.ts';

/** Undefined where it is spoken. `asked` is the prefix, such as `v1.41`; `who` speaks `range`. */
export function versionRefusal(
  asked: string | undefined,
  { min, max }: VersionRange,
  who: string,
): Answer | undefined {
  if (asked === undefined) return undefined;
  const version = asked.slice(1);
  const hint = `(flotilla: ${who} speaks ${min} to ${max})`;
  if (compareVersions(version, max) > 0) {
    return dockerError(
      400,
      `client version ${version} is too new. Maximum supported API version is ${max} ${hint}`,
    );
  }
  if (compareVersions(version, min) < 0) {
    const advice = 'please upgrade your client to a newer version';
    return dockerError(
      400,
      `client version ${version} is too old. Minimum supported API version is ${min}, ${advice} ${hint}`,
    );
  }
  return undefined;
}
