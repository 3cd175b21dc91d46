/** Runs tasks in their order, so many at a time: what comes in crowds leaves room for others. */

export class Lanes {
  readonly #count: number;
  readonly #waiting: (() => void)[] = [];
  #busy = 0;

  constructor(count: number) {
    this.#count = count;
  }

  /** Settles as the task does. As many wait as callers do, which it does not bound. */
  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#busy < this.#count) this.#busy++;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await task();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#busy--;
    }
  }
}
