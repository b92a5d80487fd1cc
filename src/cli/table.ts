// Columns as the docker CLI aligns them: three spaces between, headings in capitals. Pure.

const gap = 3;

/** `-` stands for what is not known. No white space at the ends of lines. */
export function formatTable(
  headings: readonly string[],
  rows: readonly (readonly (string | null | undefined)[])[],
): string {
  const cells = [headings, ...rows.map((row) => row.map((cell) => cell ?? '-'))];
  const widths = headings.map((_heading, column) =>
    Math.max(...cells.map((row) => row[column]?.length ?? 0)),
  );
  return cells.map((row) => `${alignRow(row, widths)}\n`).join('');
}

function alignRow(row: readonly string[], widths: readonly number[]): string {
  return row
    .map((cell, column) => cell.padEnd((widths[column] ?? 0) + gap))
    .join('')
    .trimEnd();
}
