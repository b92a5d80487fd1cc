// Variables and flags of Edge mode, as the Portainer agent has them. Part of the table in env.ts.

import type { Variable, VariableType } from './env.ts';

export const edgeVariables: readonly Variable[] = [
  edge('EDGE', ['edge'], 'bool', 'false', 'Edge mode: nothing listens for Portainer, the agent polls it'),
  edge(
    'EDGE_ASYNC',
    ['edge-async'],
    'bool',
    'false',
    'Async Edge mode; refused, because only the business edition of Portainer has its other side',
  ),
  {
    ...edge(
      'EDGE_KEY',
      ['edge-key'],
      'string',
      '',
      'Edge key, from Portainer; without one, it is kept from an earlier start, comes from another agent of the cluster, or is asked for on the Edge page',
    ),
    secret: true,
  },
  {
    ...edge(
      'EDGE_ID',
      ['edge-id'],
      'string',
      '',
      'Edge identifier; needed in Edge mode. Portainer binds the first one it sees to the environment',
    ),
    secret: true,
  },
  edge('EDGE_SERVER_HOST', ['edge-host'], 'ip', '0.0.0.0', 'Listen address of the Edge page'),
  { ...edge('EDGE_SERVER_PORT', ['edge-port'], 'int', '80', 'Port of the Edge page'), min: 0, max: 65_535 },
  {
    ...edge(
      'EDGE_INACTIVITY_TIMEOUT',
      ['edge-inactivity'],
      'duration',
      '5m',
      'A tunnel that carried nothing for this long is closed; keep it above 4m30s, when Portainer takes its last snapshot',
    ),
    min: 1_000,
  },
  edge(
    'EDGE_INSECURE_POLL',
    ['edge-insecurepoll'],
    'bool',
    'false',
    'No TLS verification towards Portainer, and then no client certificate either',
  ),
  edge('EDGE_TUNNEL', ['edge-tunnel'], 'bool', 'true', 'Whether tunnels are opened'),
  {
    ...edge(
      'HTTP_PROXY',
      ['edge-tunnel-http-proxy'],
      'string',
      '',
      'Proxy for polling over HTTP, and for the tunnel when `HTTPS_PROXY` is empty',
    ),
    secret: true,
  },
  {
    ...edge(
      'HTTPS_PROXY',
      ['edge-tunnel-https-proxy'],
      'string',
      '',
      'Proxy for polling over HTTPS, for the tunnel, and in every mode for Docker Hub',
    ),
    secret: true,
  },
  edge('NO_PROXY', [], 'string', '', 'Hosts that are asked without a proxy, separated by commas'),
  edge('EDGE_GROUPS', ['edge-groups'], 'int list', '', 'Meta field for environments that create themselves'),
  edge(
    'PORTAINER_GROUP',
    ['environment-group'],
    'int',
    '0',
    'Meta field for environments that create themselves',
  ),
  edge('PORTAINER_TAGS', ['tags'], 'int list', '', 'Meta field for environments that create themselves'),
  edge('UPDATE_ID', ['update-id'], 'int', '0', 'Identifier of the remote update that started this agent'),
  edge(
    'MTLS_SSL_CERT',
    ['mtlscert', 'sslcert'],
    'path',
    '',
    'Client certificate towards Portainer; read again when it changes',
  ),
  edge('MTLS_SSL_KEY', ['mtlskey', 'sslkey'], 'path', '', 'Its key'),
  edge(
    'MTLS_SSL_CA',
    ['mtlscacert', 'sslcacert'],
    'path',
    '',
    "CA of Portainer's certificate when polling, in place of the system's and of those that Node brings",
  ),
  edge(
    'ASSETS_PATH',
    ['assets'],
    'path',
    '/app',
    'Folder with the `docker` and `docker-compose` binaries for Edge stacks',
  ),
  edge('TZ', [], 'string', '', 'Timezone name told to Portainer when polling'),
];

function edge(
  name: string,
  flags: readonly string[],
  type: VariableType,
  value: string,
  meaning: string,
): Variable {
  return { name, flags, type, default: value, group: 'Edge', meaning, use: 'used' };
}
