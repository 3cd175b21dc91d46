/** A stock of tries that refills evenly with time. All moments are in milliseconds of one clock, `performance.now()` by default. */
export class Bucket {
  #level: number;
  #at: number;
  readonly #perSecond: number;
  readonly #burst: number;

  constructor(perSecond: number, burst: number = perSecond, now: number = performance.now()) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#level = burst;
    this.#at = now;
  }

  /** Takes so many, unless there are fewer. */
  take(count = 1, now: number = performance.now()): boolean {
    this.#refill(now);
    if (this.#level < count) return false;
    this.#level -= count;
    return true;
  }

  giveBack(): void {
    this.#level = Math.min(this.#burst, this.#level + 1);
  }

  isFull(now: number = performance.now()): boolean {
    this.#refill(now);
    return this.#level >= this.#burst;
  }

  #refill(now: number): void {
    this.#level = Math.min(this.#burst, this.#level + ((now - this.#at) / 1000) * this.#perSecond);
    this.#at = now;
  }
}
