// Variables that the Portainer agent knows and this one accepts without using them: platforms and programs that are out
// of scope. Part of the table in env.ts.

import type { Variable } from './env.ts';

const awsNames = [
  'CLIENT_CERT',
  'CLIENT_KEY',
  'CLIENT_BUNDLE',
  'ROLE_ARN',
  'TRUST_ANCHOR_ARN',
  'PROFILE_ARN',
  'REGION',
];

export const ignoredVariables: readonly Variable[] = [
  ...awsNames.map((name) =>
    ignored(`AWS_${name}`, 'IAM Roles Anywhere; its `--aws-*` flags are accepted too'),
  ),
  ignored(
    'MTLS_CERT_RETRY_INTERVAL',
    'Certificate files that are missing are looked for again at each poll',
    ['certificate-retry-interval'],
  ),
  ignored('CHISEL_WS_TIMEOUT', 'The tunnel client is our own'),
  ignored('CHISEL_SSH_TIMEOUT', 'The tunnel client is our own'),
  ignored('CHISEL_SSH_WAIT', 'The tunnel client is our own'),
  ignored('CHISEL_WS_BUFF_SIZE', 'The tunnel client is our own'),
  ignored('KUBERNETES_SERVICE_HOST', 'Kubernetes platform'),
  ignored('KUBERNETES_POD_IP', 'Kubernetes platform'),
  ignored('COMPOSE_UNPACKER_IMAGE', 'Image for Edge stacks with relative paths'),
  ignored('DOCKER_HOST', 'The engine is always reached at `FLOTILLA_DOCKER_SOCKET`'),
  ignored('DOCKER_API_VERSION', 'The version is negotiated'),
  ignored('DOCKER_CERT_PATH', 'The engine is reached over its socket'),
  ignored('DOCKER_TLS_VERIFY', 'The engine is reached over its socket'),
];

function ignored(name: string, meaning: string, flags: readonly string[] = []): Variable {
  return { name, flags, type: 'string', default: '', group: 'Not used', meaning, use: 'ignored' };
}
