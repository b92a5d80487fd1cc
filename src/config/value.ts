// Turns the text of one option into its value, with exactly the syntax that the Portainer agent accepts.
// Pure. Undefined means not acceptable; `acceptedBy` says what would have been.

import { isIP, isIPv6, SocketAddress } from 'node:net';
import type { Variable, VariableType } from './env.ts';

export interface HostAndPort {
  readonly host: string;
  readonly port: number | undefined;
}

/** What the text of each type becomes. */
export interface ValueOf {
  readonly bool: boolean;
  readonly int: number;
  /** Milliseconds. */
  readonly duration: number;
  readonly ip: string;
  readonly 'int list': readonly number[];
  readonly string: string;
  readonly path: string;
  readonly host: HostAndPort;
  readonly seeds: readonly HostAndPort[];
  readonly listen: { readonly host: string; readonly port: number } | 'off';
  readonly version: string;
  readonly enum: string;
  readonly mode: number;
  /** By name or by number; empty when none was given. */
  readonly group: string | number;
  /** Without a slash at the end. */
  readonly origin: string;
}

type Parser<T> = (text: string, variable: Variable) => T | undefined;

/** Timers of Node overflow above this and fire at once, so longer durations count as this one (24.8 days). */
const maxDurationMs = 2_147_483_647;
/** Seeds beyond this are a mistake, not a cluster. */
const maxSeeds = 256;
/** Portainer treats agents below this version differently. */
const minPortainerVersion = [2, 19, 0] as const;

const parsers: { readonly [T in VariableType]: Parser<ValueOf[T]> } = {
  bool: parseBool,
  int: (text, variable) => inRange(parseInteger(text), variable),
  duration: (text, variable) => inRange(parseDuration(text), variable),
  ip: (text, variable) => (isLiteralIp(text) || isAbsent(text, variable) ? canonicalIp(text) : undefined),
  'int list': parseIntList,
  string: (text) => text,
  path: parsePath,
  host: (text) => (text === '' ? { host: '', port: undefined } : parseHostAndPort(text)),
  seeds: parseSeeds,
  listen: parseListen,
  version: parseVersion,
  enum: (text, variable) => (variable.choices?.includes(text) === true ? text : undefined),
  mode: (text) => (/^0?[0-7]{3}$/.test(text) ? Number.parseInt(text, 8) : undefined),
  group: parseGroup,
  origin: parseOrigin,
};

export function parseValue<T extends VariableType>(
  type: T,
  text: string,
  variable: Variable,
): ValueOf[T] | undefined {
  return parsers[type](text, variable);
}

/** What a variable accepts, as the end of "expected …". */
export function acceptedBy(variable: Variable): string {
  switch (variable.type) {
    case 'bool':
      return 'true or false (also 1, t, T, TRUE, True, 0, f, F, FALSE, False)';
    case 'int':
      return `an integer${rangeText(variable, '')}`;
    case 'duration':
      return `a duration such as 500ms, 5m or 20h2s${rangeText(variable, 'ms')}`;
    case 'ip':
      return 'a literal IPv4 or IPv6 address';
    case 'int list':
      return 'integers separated by colons, such as 1:2:3';
    case 'string':
      return 'any text';
    case 'path':
      return 'a path';
    case 'host':
      return 'a host name or address, with or without a port; IPv6 with a port in brackets';
    case 'seeds':
      return `at most ${maxSeeds} of host or host:port, separated by commas; IPv6 with a port in brackets`;
    case 'listen':
      return 'address:port, such as 127.0.0.1:9003, or off';
    case 'version':
      return `a version X.Y.Z, not below ${minPortainerVersion.join('.')}`;
    case 'enum':
      return `one of ${variable.choices?.join(', ')}`;
    case 'mode':
      return 'permissions as three octal digits, such as 0660';
    case 'group':
      return 'the name of a group, or its number';
    case 'origin':
      return 'http or https and a host, such as https://hub.example.com';
  }
}

function rangeText({ min, max }: Variable, unit: string): string {
  if (min !== undefined && max !== undefined) return ` from ${min}${unit} to ${max}${unit}`;
  return min === undefined ? '' : `, at least ${min}${unit}`;
}

function inRange(value: number | undefined, { min, max }: Variable): number | undefined {
  if (value === undefined || value < (min ?? -Infinity) || value > (max ?? Infinity)) return undefined;
  return value;
}

/** Go's strconv.ParseBool: nothing else, so `yes` is refused. */
function parseBool(text: string): boolean | undefined {
  if (['1', 't', 'T', 'TRUE', 'true', 'True'].includes(text)) return true;
  if (['0', 'f', 'F', 'FALSE', 'false', 'False'].includes(text)) return false;
  return undefined;
}

function parseInteger(text: string): number | undefined {
  const value = /^[+-]?\d+$/.test(text) ? Number(text) : NaN;
  return Number.isSafeInteger(value) ? value : undefined;
}

const unitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};

/** Go's time.ParseDuration: signed, numbers with a unit each, or a bare 0. In milliseconds. */
function parseDuration(text: string): number | undefined {
  const [, sign = '', rest = ''] = /^([+-]?)(.*)$/s.exec(text) ?? [];
  if (rest === '0') return 0;
  if (!/^(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+$/.test(rest)) return undefined;
  let sumMs = 0;
  for (const [, amount = '', unit = ''] of rest.matchAll(/([\d.]+)([^\d.]+)/g)) {
    sumMs += Number(amount) * (unitMs[unit] ?? NaN);
  }
  if (!Number.isFinite(sumMs)) return undefined;
  return (sign === '-' ? -1 : 1) * Math.min(sumMs, maxDurationMs);
}

/** Go's net.ParseIP takes no zone, so `fe80::1%eth0` is refused. */
function isLiteralIp(text: string): boolean {
  return isIP(text) !== 0 && !text.includes('%');
}

/** As the kernel writes it: addresses are compared as text with those of interfaces, DNS answers and other members. */
function canonicalIp(text: string): string {
  return isIPv6(text) ? new SocketAddress({ address: text, family: 'ipv6' }).address : text;
}

/** Empty is the value of an option that nobody gave and that has no default. */
function isAbsent(text: string, variable: Variable): boolean {
  return text === '' && variable.default === '';
}

function parsePath(text: string, variable: Variable): string | undefined {
  if (text.includes('\0')) return undefined;
  return text !== '' || isAbsent(text, variable) ? text : undefined;
}

function parseIntList(text: string): readonly number[] | undefined {
  if (text === '') return [];
  const values = text.split(':').map(parseInteger);
  return values.every((value) => value !== undefined) ? values : undefined;
}

/** `host`, `host:port`, `1.2.3.4:port`, `::1`, `[::1]` or `[::1]:port`. */
function parseHostAndPort(text: string): HostAndPort | undefined {
  if (isLiteralIp(text)) return { host: canonicalIp(text), port: undefined };
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d+))?$/.exec(text);
  if (match === null) return undefined;
  const [, bracketed, plain = '', portText] = match;
  const port = portText === undefined ? undefined : Number(portText);
  if (port !== undefined && (port < 1 || port > 65_535)) return undefined;
  if (bracketed !== undefined)
    return isIPv6(bracketed) && isLiteralIp(bracketed) ? { host: canonicalIp(bracketed), port } : undefined;
  return isHostName(plain) ? { host: plain, port } : undefined;
}

/** Underscores too: Swarm's `tasks.my_agent` has them. Only digits and dots must be an address. */
function isHostName(text: string): boolean {
  if (/^[\d.]+$/.test(text)) return isIP(text) === 4;
  return (
    text.length <= 253 && /^[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?$/.test(text) && !text.includes('..')
  );
}

function parseSeeds(text: string): readonly HostAndPort[] | undefined {
  if (text === '') return [];
  const seeds = text.split(',').map((item) => parseHostAndPort(item.trim()));
  if (seeds.length > maxSeeds) return undefined;
  return seeds.every((seed) => seed !== undefined) ? seeds : undefined;
}

function parseListen(text: string): ValueOf['listen'] | undefined {
  if (text === 'off') return 'off';
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(text);
  const host = match?.[1] ?? match?.[2] ?? '';
  const port = Number(match?.[3]);
  if (match === null || port > 65_535 || (host !== 'localhost' && isIP(host) === 0)) return undefined;
  return { host, port };
}

/** Linux takes ids of 32 bits, and the last one means none. */
const maxGroupId = 2 ** 32 - 2;

function parseGroup(text: string, variable: Variable): string | number | undefined {
  if (/^\d+$/.test(text)) return Number(text) <= maxGroupId ? Number(text) : undefined;
  return isAbsent(text, variable) || /^[A-Za-z_][A-Za-z0-9_.-]{0,31}$/.test(text) ? text : undefined;
}

function parseOrigin(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) return undefined;
  // No path, query or credentials: nothing is left when the origin is taken away.
  return url.href === `${url.origin}/` ? url.origin : undefined;
}

function parseVersion(text: string): string | undefined {
  if (!/^\d{1,5}\.\d{1,5}\.\d{1,5}$/.test(text)) return undefined;
  const parts = text.split('.').map(Number);
  for (const [index, least] of minPortainerVersion.entries()) {
    const part = parts[index] ?? 0;
    if (part !== least) return part > least ? text : undefined;
  }
  return text;
}
