/** How long and how large the fault tests are: quick with every change, in full by `npm run faults`. */

export const isFull = process.env['FAULTS'] === 'full';

/** The size for this run. */
export const sized = <T>(quick: T, full: T): T => (isFull ? full : quick);

/** Figures for people; a test never judges them. */
export function printFigures(test: string, figures: object): void {
  process.stdout.write(`${test} (${isFull ? 'full' : 'quick'}): ${JSON.stringify(figures)}\n`);
}

/** Of unsorted numbers; NaN for none. `share` 0.5 is the median. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
