// Variables that the Portainer agent knows and this one accepts without using them: Edge mode, which comes later,
// and platforms that are out of scope. Part of the table in env.ts.

import type { Variable, VariableType } from './env.ts';

const awsNames = [
  'CLIENT_CERT',
  'CLIENT_KEY',
  'CLIENT_BUNDLE',
  'ROLE_ARN',
  'TRUST_ANCHOR_ARN',
  'PROFILE_ARN',
  'REGION',
];

export const laterVariables: readonly Variable[] = [
  later('EDGE', ['edge'], 'bool', 'false', 'Edge mode; refused, because this version does not have it'),
  later('EDGE_ASYNC', ['edge-async'], 'bool', 'false', 'Async Edge mode; needs `EDGE`'),
  { ...later('EDGE_KEY', ['edge-key'], 'string', '', 'Edge key'), secret: true },
  later('EDGE_ID', ['edge-id'], 'string', '', 'Edge identifier'),
  later('EDGE_SERVER_HOST', ['edge-host'], 'ip', '0.0.0.0', 'Listen address of the Edge page'),
  { ...later('EDGE_SERVER_PORT', ['edge-port'], 'int', '80', 'Port of the Edge page'), min: 0, max: 65_535 },
  later('EDGE_INACTIVITY_TIMEOUT', ['edge-inactivity'], 'duration', '5m', 'Closes an idle tunnel'),
  later(
    'EDGE_INSECURE_POLL',
    ['edge-insecurepoll'],
    'bool',
    'false',
    'No TLS verification towards Portainer',
  ),
  later('EDGE_TUNNEL', ['edge-tunnel'], 'bool', 'true', 'Whether tunnels are opened'),
  later(
    'HTTP_PROXY',
    ['edge-tunnel-http-proxy'],
    'string',
    '',
    'Proxy for the tunnel when `HTTPS_PROXY` is empty',
  ),
  later('HTTPS_PROXY', ['edge-tunnel-https-proxy'], 'string', '', 'Proxy for the tunnel'),
  later('EDGE_GROUPS', ['edge-groups'], 'int list', '', 'Meta field for environments that create themselves'),
  later('PORTAINER_GROUP', ['environment-group'], 'int', '0', 'Meta field'),
  later('PORTAINER_TAGS', ['tags'], 'int list', '', 'Meta field'),
  later('UPDATE_ID', ['update-id'], 'int', '0', 'Identifier of the remote update that started this agent'),
  later('MTLS_SSL_CERT', ['mtlscert', 'sslcert'], 'path', '', 'Client certificate towards Portainer'),
  later('MTLS_SSL_KEY', ['mtlskey', 'sslkey'], 'path', '', 'Its key'),
  later('MTLS_SSL_CA', ['mtlscacert', 'sslcacert'], 'path', '', "CA of Portainer's certificate"),
  later(
    'MTLS_CERT_RETRY_INTERVAL',
    ['certificate-retry-interval'],
    'duration',
    '0',
    'Looks again for the certificate at this interval',
  ),
  later('ASSETS_PATH', ['assets'], 'path', '/app', 'Folder with the `docker` and `docker-compose` binaries'),
  later('TZ', [], 'string', '', 'Timezone name sent when polling'),
  later('CHISEL_WS_TIMEOUT', [], 'duration', '45s', 'Timeout of the tunnel client'),
  later('CHISEL_SSH_TIMEOUT', [], 'duration', '30s', 'Timeout of the tunnel client'),
  later('CHISEL_SSH_WAIT', [], 'duration', '35s', 'Timeout of the tunnel client'),
  later('CHISEL_WS_BUFF_SIZE', [], 'int', '0', 'Buffer of the tunnel client'),
];

export const ignoredVariables: readonly Variable[] = [
  ...awsNames.map((name) =>
    ignored(`AWS_${name}`, 'IAM Roles Anywhere; its `--aws-*` flags are accepted too'),
  ),
  ignored('KUBERNETES_SERVICE_HOST', 'Kubernetes platform'),
  ignored('KUBERNETES_POD_IP', 'Kubernetes platform'),
  ignored('COMPOSE_UNPACKER_IMAGE', 'Image for Edge stacks with relative paths'),
  ignored('DOCKER_HOST', 'The engine is always reached at `FLOTILLA_DOCKER_SOCKET`'),
  ignored('DOCKER_API_VERSION', 'The version is negotiated'),
  ignored('DOCKER_CERT_PATH', 'The engine is reached over its socket'),
  ignored('DOCKER_TLS_VERIFY', 'The engine is reached over its socket'),
  ignored('CAP_HOST_MANAGEMENT', 'Gone since agent 2.12'),
  ignored('FLOTILLA_SOCKETS', 'Whole-cluster sockets come in a later version'),
];

function later(
  name: string,
  flags: readonly string[],
  type: VariableType,
  value: string,
  meaning: string,
): Variable {
  return { name, flags, type, default: value, group: 'Edge', meaning, use: 'later' };
}

function ignored(name: string, meaning: string): Variable {
  return { name, flags: [], type: 'string', default: '', group: 'Not used', meaning, use: 'ignored' };
}
