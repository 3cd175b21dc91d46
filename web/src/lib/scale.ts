/** Fixed steps for y ranges, which grow at once and shrink late. */

/** The smallest of 1, 2, 5 × 10ⁿ (binary: of powers of two from 1 on) that is at least `value`. */
export function niceCeiling(value: number, binaryUnits = false): number {
  if (!(value > 0)) return 1;
  if (binaryUnits) return 2 ** Math.ceil(Math.log2(value));
  const power = 10 ** Math.floor(Math.log10(value));
  const lead = value / power;
  // A hair of tolerance, so that 0.2 / 0.1 = 2.0000000000000004 does not jump to the next step.
  for (const step of [1, 2, 5]) if (lead <= step * (1 + 1e-9)) return step * power;
  return 10 * power;
}

const shrinkAfterMs = 30_000;

/** The upper end of a y axis: grows with the data in nice steps, shrinks only when lower for 30 s. */
export class StickyCeiling {
  #ceiling: number;
  #lowerSince: number | undefined;
  readonly #least: number;
  readonly #binary: boolean;

  constructor(least: number, binaryUnits = false) {
    this.#least = least;
    this.#ceiling = least;
    this.#binary = binaryUnits;
  }

  /** @param now milliseconds of any steady clock */
  next(highest: number, now: number): number {
    const wanted = Math.max(this.#least, niceCeiling(highest, this.#binary));
    if (wanted >= this.#ceiling) {
      this.#ceiling = wanted;
      this.#lowerSince = undefined;
    } else {
      this.#lowerSince ??= now;
      if (now - this.#lowerSince >= shrinkAfterMs) {
        this.#ceiling = wanted;
        this.#lowerSince = undefined;
      }
    }
    return this.#ceiling;
  }

  /** Forgets the past, as when the window changes. */
  reset(): void {
    this.#ceiling = this.#least;
    this.#lowerSince = undefined;
  }
}

const stepsMs = [5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600].map((seconds) => seconds * 1000);

/** The step between time labels that keeps them at least `minPx` apart. */
export function timeStepMs(windowMs: number, widthPx: number, minPx: number): number {
  const least = (windowMs * minPx) / Math.max(1, widthPx);
  return stepsMs.find((step) => step >= least) ?? stepsMs.at(-1)!;
}
