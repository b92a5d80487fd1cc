// How far the long tests go: shortened in `npm test`, at full length in `npm run test:long`. Never skipped.

export const isLong: boolean = process.env.FLOTILLA_TEST_LONG === '1';

/** The first where tests are short, the second at full length. */
export function scaled(short: number, long: number): number {
  return isLong ? long : short;
}
