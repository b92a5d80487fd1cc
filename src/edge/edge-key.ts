// Reads Edge keys: base64 of `<portainer url>|<tunnel address>|<fingerprint>|<environment id>`.
// Pure. The text may be hostile: whatever it is, the answer is a key whose four parts are usable, or one clear error.

import { isIP } from 'node:net';
import { AgentError } from '../errors.ts';
import type { EdgeKey } from './edge.ts';

/** Real keys have some 150 characters. */
export const maxEdgeKeyChars = 4_096;
/** Portainer counts its environments from 1. */
const maxEnvironmentId = 2_147_483_647;

const tunnelSchemes = ['http:', 'https:', 'ssh:'];

/** Throws `request-invalid`. The message never holds the key: who has it can speak for this agent. */
export function parseEdgeKey(given: string): EdgeKey {
  if (given.length > maxEdgeKeyChars) throw invalid(`more than ${maxEdgeKeyChars} characters`);
  // Copied from a terminal or a page it may be broken into lines.
  const text = given.replaceAll(/\s+/g, '');
  if (text === '') throw invalid('it is empty');
  const fields = decode(text).split('|');
  const [url = '', tunnel = '', fingerprint = '', id = ''] = fields;
  if (fields.length !== 4) throw invalid(`it should hold 4 fields, and holds ${fields.length}`);
  return {
    text,
    portainerUrl: parseUrl(url),
    tunnelAddress: parseTunnelAddress(tunnel),
    fingerprint: parseFingerprint(fingerprint),
    environmentId: parseId(id),
  };
}

/** The key with the id that Portainer told meanwhile, in the original's form (without padding). */
export function encodeEdgeKey(key: EdgeKey, environmentId: number): string {
  if (environmentId === key.environmentId) return key.text;
  const { portainerUrl, tunnelAddress, fingerprint } = key;
  const fields = [portainerUrl, tunnelAddress, fingerprint, environmentId].join('|');
  return Buffer.from(fields).toString('base64').replaceAll('=', '');
}

/** Whether two keys mean the same environment of the same Portainer, whatever their texts are. */
export function isSameKey(a: EdgeKey, b: EdgeKey): boolean {
  return (
    a.portainerUrl === b.portainerUrl &&
    a.tunnelAddress === b.tunnelAddress &&
    a.fingerprint === b.fingerprint &&
    a.environmentId === b.environmentId
  );
}

/** Node's decoder skips what it does not know, so the alphabet is checked here. Padding is accepted, unlike there. */
function decode(text: string): string {
  const match = /^([A-Za-z0-9+/]+)={0,2}$/.exec(text);
  if (match?.[1] === undefined || match[1].length % 4 === 1) throw invalid('it is not base64');
  const bytes = Buffer.from(match[1], 'base64');
  try {
    const decoded = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    if (/[^\x21-\x7e]/.test(decoded)) throw invalid('it holds characters that no address has');
    return decoded;
  } catch (error) {
    if (error instanceof AgentError) throw error;
    throw new AgentError('request-invalid', 'parse edge key: it holds no text', { cause: error });
  }
}

function parseUrl(text: string): string {
  const url = toUrl(text);
  if (url === undefined || !['http:', 'https:'].includes(url.protocol) || url.hostname === '')
    throw invalid(`its first field is no http or https address: ${shown(text)}`);
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    throw invalid('its Portainer address holds more than scheme, host, port and path');
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '');
}

/** `host:port` is kept as it is; a scheme must be one that a tunnel has. */
function parseTunnelAddress(text: string): string {
  const hasScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(text);
  const url = toUrl(hasScheme ? text : `http://${text}`);
  const plain = url !== undefined && url.pathname.replace('/', '') === '' && url.search === '';
  if (!plain || url.username !== '' || url.password !== '' || url.hash !== '' || !isHost(url.hostname))
    throw invalid(`its tunnel address is no host and port: ${shown(text)}`);
  if (hasScheme && !tunnelSchemes.includes(url.protocol))
    throw invalid(`its tunnel address has the scheme ${shown(url.protocol)}, expected http, https or ssh`);
  return text.replace(/\/$/, '');
}

/** `ssh:` is no special scheme for URL, which then lets any characters be a host. */
function isHost(host: string): boolean {
  if (host.startsWith('[')) return isIP(host.slice(1, -1)) === 6;
  return /^[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})$/.test(host);
}

/** Without one, any server could take the tunnel's place, so none is no choice. */
function parseFingerprint(text: string): string {
  const isSha256 = /^(?:SHA256:)?[A-Za-z0-9+/]{43}=?$/.test(text);
  const isMd5 = /^(?:MD5:)?(?:[0-9a-f]{2}:){15}[0-9a-f]{2}$/i.test(text);
  if (!isSha256 && !isMd5) throw invalid('its fingerprint is neither SHA-256 nor MD5 of a host key');
  return text;
}

function parseId(text: string): number {
  const id = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (!(id <= maxEnvironmentId)) throw invalid(`its environment id is no number: ${shown(text)}`);
  return id;
}

function toUrl(text: string): URL | undefined {
  return URL.parse(text) ?? undefined;
}

function shown(text: string): string {
  const maxShown = 60;
  return JSON.stringify(text.length > maxShown ? `${text.slice(0, maxShown)}…` : text);
}

function invalid(reason: string): AgentError {
  return new AgentError('request-invalid', `parse edge key: ${reason}`);
}
