/** Remembers how to undo what was started, so that a stop, or a start that failed halfway, walks it backwards. */

/** Told of a step that failed. */
export type CloseFailed = (error: unknown, name: string) => void;

export class Closers {
  readonly #steps: { name: string; close: () => void | Promise<void> }[] = [];

  add(name: string, close: () => void | Promise<void>): void {
    this.#steps.push({ name, close });
  }

  /** Runs every step, the newest first, each once; a step that fails is told and does not keep the others from running. */
  async close(failed: CloseFailed): Promise<void> {
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

/** Opens what has several parts: all of it, or, where one of them throws, nothing. */
export async function openAll<T>(open: (closers: Closers) => Promise<T>, failed: CloseFailed): Promise<T> {
  const closers = new Closers();
  try {
    return await open(closers);
  } catch (error) {
    await closers.close(failed);
    throw error;
  }
}
