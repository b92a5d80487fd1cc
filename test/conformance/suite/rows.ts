// All rows of the checklist for normal mode and Swarm, in its order.

import type { Row } from './row.ts';
import { browseRows } from './rows-browse.ts';
import { consoleRows } from './rows-console.ts';
import { listenerRows } from './rows-listener.ts';
import { swarmRows } from './rows-swarm.ts';

export const rows: readonly Row[] = [...listenerRows, ...swarmRows, ...consoleRows, ...browseRows];
