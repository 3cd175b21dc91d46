/** Remembers how to undo what was started, so that a stop, or a start that failed halfway, walks it backwards. */

export class Closers {
  readonly #steps: { name: string; close: () => void | Promise<void> }[] = [];

  add(name: string, close: () => void | Promise<void>): void {
    this.#steps.push({ name, close });
  }

  /** Runs every step, the newest first, each once; a step that fails is told and does not keep the others from running. */
  async close(failed: (error: unknown, name: string) => void): Promise<void> {
    for (let step = this.#steps.pop(); step; step = this.#steps.pop()) {
      try {
        // oxlint-disable-next-line no-await-in-loop -- what was started later leans on what was started before
        await step.close();
      } catch (error) {
        failed(error, step.name);
      }
    }
  }
}
