// Decides what each member is asked where a filter names a container or image that not all of them have. Pure.

import type { Member } from '../../cluster/cluster.ts';
import type { QueryChange } from './filters.ts';
import { hasMark, type Mark } from './lists-merge.ts';

/** What the filters `before` and `since` name. */
export interface Marks {
  readonly before?: Mark | undefined;
  readonly since?: Mark | undefined;
}

/**
 * Who has it applies the filter. The others do not know it: they list what they would choose from, and the merge cuts. A
 * limit counts from the newest, so that it still holds for `since`, and not for `before`.
 */
export function changeFor(member: Member, { before, since }: Marks): QueryChange {
  const own = (mark: Mark): string | undefined => (hasMark(member, mark) ? mark.name : undefined);
  const beforeName = before === undefined ? undefined : own(before);
  return {
    ...(before === undefined ? {} : { before: beforeName }),
    ...(since === undefined ? {} : { since: own(since) }),
    ...(before !== undefined && beforeName === undefined ? { limit: 'lifted' as const } : {}),
  };
}
