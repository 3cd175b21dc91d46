/** Runs many small things at random moments within a span, so that what they cause does not come all at once. */

export class Spread {
  readonly #spanMs: number;
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(spanMs: number) {
    this.#spanMs = spanMs;
  }

  add(run: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      run();
    }, Math.random() * this.#spanMs);
    this.#timers.add(timer);
  }

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }
}
