// Variables that say whether the host's files may be browsed. Part of the table in env.ts.

import type { Variable } from './env.ts';

export const browseVariables: readonly Variable[] = [
  {
    name: 'FLOTILLA_HOST_BROWSE',
    flags: ['host-browse'],
    type: 'enum',
    default: 'on',
    group: 'Agent',
    meaning: "Whether the host's files can be browsed through `/browse`; volumes always can",
    use: 'used',
    choices: ['on', 'off'],
  },
  {
    name: 'CAP_HOST_MANAGEMENT',
    flags: [],
    type: 'bool',
    default: 'true',
    group: 'Agent',
    meaning: "`0` does the same as `FLOTILLA_HOST_BROWSE=off`; unset means on, as in Portainer's agent",
    use: 'used',
  },
];
