/** Runs one task again and again, with a pause after each run, never twice at once. */

export class Repeat {
  readonly #task: () => Promise<void>;
  readonly #pauseMs: () => number;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #isClosed = false;

  /** @param task must not reject */
  constructor(task: () => Promise<void>, pauseMs: () => number) {
    this.#task = task;
    this.#pauseMs = pauseMs;
  }

  start(): void {
    this.#later(this.#pauseMs());
  }

  /** Ends the pause, if there is one. */
  hurry(): void {
    if (!this.#timer) return;
    clearTimeout(this.#timer);
    this.#later(0);
  }

  /** Waits for the run under way; there is no other. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  #later(waitMs: number): void {
    if (this.#isClosed) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#running = this.#task().finally(() => this.#later(this.#pauseMs()));
    }, waitMs);
  }
}
