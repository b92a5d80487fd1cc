// The options of Edge mode, and the rules that span them. Pure.

import type { EdgeConfig, ProxiesConfig } from './config.ts';
import type { Fields } from './parse.ts';

/** Undefined without `EDGE`. What is wrong is noted in the fields. */
export function edgeConfig(fields: Fields): EdgeConfig | undefined {
  checkAsync(fields);
  if (!fields.read('bool', 'EDGE')) return undefined;
  const id = fields.read('string', 'EDGE_ID');
  if (id.trim() === '')
    fields.fault('EDGE_ID', 'expected an identifier that is not empty or white space, because EDGE is set');
  else if (/[^\x21-\x7e]/.test(id)) fields.fault('EDGE_ID', 'expected printable ASCII without spaces');
  const key = optional(fields, 'EDGE_KEY');
  if (key?.trim() === '') fields.fault('EDGE_KEY', 'expected an Edge key, or nothing');
  return {
    id,
    key,
    dataPath: fields.read('path', 'DATA_PATH'),
    page: { host: fields.read('ip', 'EDGE_SERVER_HOST'), port: fields.read('int', 'EDGE_SERVER_PORT') },
    tunnel: fields.read('bool', 'EDGE_TUNNEL'),
    inactivityMs: fields.read('duration', 'EDGE_INACTIVITY_TIMEOUT'),
    insecurePoll: fields.read('bool', 'EDGE_INSECURE_POLL'),
    proxies: proxiesOf(fields, 'fault'),
    mtls: mtlsConfig(fields),
    meta: {
      edgeGroupIds: fields.read('int list', 'EDGE_GROUPS'),
      tagIds: fields.read('int list', 'PORTAINER_TAGS'),
      environmentGroupId: fields.read('int', 'PORTAINER_GROUP'),
    },
    updateId: fields.read('int', 'UPDATE_ID'),
    timeZone: optional(fields, 'TZ'),
    assetsPath: fields.read('path', 'ASSETS_PATH'),
  };
}

function checkAsync(fields: Fields): void {
  if (!fields.read('bool', 'EDGE_ASYNC')) return;
  if (fields.read('bool', 'EDGE'))
    fields.fault('EDGE_ASYNC', 'async Edge mode is not available; expected false');
  else fields.fault('EDGE_ASYNC', 'needs EDGE');
}

function mtlsConfig(fields: Fields): EdgeConfig['mtls'] {
  const [cert, key, ca] = ['MTLS_SSL_CERT', 'MTLS_SSL_KEY', 'MTLS_SSL_CA'].map((name) =>
    orUndefined(fields.read('path', name)),
  );
  if ((cert === undefined) !== (key === undefined))
    fields.fault(
      cert === undefined ? 'MTLS_SSL_CERT' : 'MTLS_SSL_KEY',
      'expected both certificate and key, or none',
    );
  return cert === undefined && key === undefined && ca === undefined ? undefined : { cert, key, ca };
}

const proxySchemes = ['http:', 'https:', 'socks:', 'socks5:', 'socks5h:'];

/** Outside of Edge mode only Docker Hub is asked past them, and the variables are there for other programs too. */
type OnBadProxy = 'fault' | 'ignored';

export function proxiesOf(fields: Fields, onBad: OnBadProxy): ProxiesConfig {
  return {
    http: proxyOf(fields, 'HTTP_PROXY', onBad),
    https: proxyOf(fields, 'HTTPS_PROXY', onBad),
    except: optional(fields, 'NO_PROXY'),
  };
}

/** As Go's: without a scheme it is an HTTP proxy. */
function proxyOf(fields: Fields, name: string, onBad: OnBadProxy): string | undefined {
  const text = fields.read('string', name);
  if (text === '') return undefined;
  const url = URL.parse(text.includes('://') ? text : `http://${text}`);
  if (url !== null && url.hostname !== '' && proxySchemes.includes(url.protocol))
    return url.href.replace(/\/$/, '');
  if (onBad === 'fault')
    fields.fault(name, 'expected the address of a proxy: http://…, https://…, socks5://…, or host:port');
  return undefined;
}

function optional(fields: Fields, name: string): string | undefined {
  return orUndefined(fields.read('string', name));
}

function orUndefined(text: string): string | undefined {
  return text === '' ? undefined : text;
}
