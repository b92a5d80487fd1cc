// Reads what Portainer asks about Docker Hub, and what Docker Hub answers. Pure.
// Names are matched as Go does, without regard to case: the server sends its own registry object, capitalised.

export interface HubLogin {
  readonly authentication: boolean;
  readonly username: string;
  readonly password: string;
}

export interface RateLimits {
  readonly remaining: number;
  readonly limit: number;
}

/** Throws with what is wrong; the text itself is never repeated. */
export function parseHubLogin(text: string): HubLogin {
  const fields = fieldsOf(text);
  const login = {
    authentication: typed('boolean', fields.get('authentication'), false),
    username: typed('string', fields.get('username'), ''),
    password: typed('string', fields.get('password'), ''),
  };
  if (login.authentication && (login.username === '' || login.password === ''))
    throw new Error('missing username or password');
  return login;
}

export function parseToken(text: string): string {
  const token = fieldsOf(text).get('token');
  if (typeof token !== 'string' || token === '') throw new Error('the answer holds no token');
  return token;
}

/** Headers such as `100;w=21600`; null when one is missing or no number. */
export function parseLimits(limit: string | null, remaining: string | null): RateLimits | null {
  const [limitNumber, remainingNumber] = [limit, remaining].map(beforeSemicolon);
  if (limitNumber === undefined || remainingNumber === undefined) return null;
  return { remaining: remainingNumber, limit: limitNumber };
}

function beforeSemicolon(header: string | null): number | undefined {
  const text = header?.split(';')[0] ?? '';
  return /^-?\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** By lower-case name; of several spellings the last one counts, as in Go. */
function fieldsOf(text: string): ReadonlyMap<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new Error('not JSON', { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('no JSON object');
  return new Map(Object.entries(value).map(([name, field]) => [name.toLowerCase(), field]));
}

/** Go leaves a field as it was where JSON has null or nothing. */
function typed(type: 'boolean', field: unknown, missing: boolean): boolean;
function typed(type: 'string', field: unknown, missing: string): string;
function typed(type: 'boolean' | 'string', field: unknown, missing: boolean | string): unknown {
  if (field === undefined || field === null) return missing;
  if (typeof field !== type) throw new Error(`a field is no ${type}`);
  return field;
}
