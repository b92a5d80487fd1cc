// Checks the cron expression of an edge job. Pure.
// Some crons, Debian's among them, ignore a whole file for one line that they cannot read. So what is let through is what all
// of them read, and no more: neither `~` nor a step behind a single number.

interface Field {
  readonly name: string;
  readonly least: number;
  readonly most: number;
  /** In lower case, counted from `least`. Cron takes them in any case, and none longer. */
  readonly names: readonly string[];
}

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const weekdays = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];

const fields: readonly Field[] = [
  { name: 'minute', least: 0, most: 59, names: [] },
  { name: 'hour', least: 0, most: 23, names: [] },
  { name: 'day of the month', least: 1, most: 31, names: [] },
  { name: 'month', least: 1, most: 12, names: months },
  { name: 'day of the week', least: 0, most: 7, names: weekdays },
];

const nickname = /^@(?:reboot|yearly|annually|monthly|weekly|daily|midnight|hourly)$/;
/** In one line. A sixth field would be read as the user, and the rest of ours as arguments. */
const plainFields = /^[0-9A-Za-z*,/-]+(?:[ \t]+[0-9A-Za-z*,/-]+){4}$/;

/** Undefined: cron reads it. */
export function faultOfExpression(expression: string): string | undefined {
  if (nickname.test(expression)) return undefined;
  if (!plainFields.test(expression)) return 'the cron expression does not have five plain fields';
  const texts = expression.split(/[ \t]+/);
  const bad = fields.find((field, at) => !isList(field, texts[at] ?? ''));
  return bad === undefined ? undefined : `the cron expression has no ${bad.name} that every cron reads`;
}

function isList(field: Field, text: string): boolean {
  return text.split(',').every((item) => isRange(field, item));
}

/** `*`, `n`, `n-m`; a step behind the first and the last. */
function isRange(field: Field, text: string): boolean {
  const match = /^(?:\*|([^*/-]+)(?:-([^*/-]+))?)(?:\/(\d{1,4}))?$/.exec(text);
  if (match === null) return false;
  const [, from, to, step] = match;
  if (step !== undefined && (Number(step) === 0 || (from !== undefined && to === undefined))) return false;
  if (from === undefined) return true;
  const first = toValue(field, from);
  if (first === undefined || to === undefined) return first !== undefined;
  // Sunday is 0 by its name, so that not every cron lets a week end with it: 5-7 is read by all.
  const last = toValue(field, to);
  return last !== undefined && first <= last;
}

/** Undefined: out of the field's bounds, or no name of it. */
function toValue({ least, most, names }: Field, text: string): number | undefined {
  const named = names.indexOf(text.toLowerCase());
  if (named >= 0) return least + named;
  const value = /^\d{1,4}$/.test(text) ? Number(text) : Number.NaN;
  return value >= least && value <= most ? value : undefined;
}
