/** Keeps one program running: it is started again, with doubling pauses, whenever it ends by itself. */

import type { ChildProcess } from 'node:child_process';

export interface KeptProcessOptions {
  start: () => ChildProcess;
  /** Before a new start; the first one again after a run longer than `most`. */
  pauseMs: { first: number; most: number };
  /** From SIGTERM to SIGKILL. */
  graceMs: number;
  /** Told when it ended by itself, or could not be started; it will be started again. */
  onExit: (code: number | null, signal: NodeJS.Signals | null, againInMs: number) => void;
  /** Told of each start. */
  onStart?: () => void;
}

export class KeptProcess {
  readonly #options: KeptProcessOptions;
  #child: ChildProcess | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;
  #pauseMs: number;

  constructor(options: KeptProcessOptions) {
    this.#options = options;
    this.#pauseMs = options.pauseMs.first;
    this.#start();
  }

  /** Undefined while it does not run. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** Resolves when the program is gone. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    const leaving = this.#child;
    if (!leaving) return;
    await new Promise<void>((resolve) => {
      const overdue = setTimeout(() => leaving.kill('SIGKILL'), this.#options.graceMs);
      leaving.once('exit', () => {
        clearTimeout(overdue);
        resolve();
      });
      leaving.kill('SIGTERM');
    });
  }

  #start(): void {
    const { start, pauseMs, onExit, onStart } = this.#options;
    const startedAt = performance.now();
    const child = start();
    this.#child = child;
    const ended = (code: number | null, signal: NodeJS.Signals | null): void => {
      // A program that cannot be started ends by an error alone.
      if (this.#child !== child) return;
      this.#child = undefined;
      if (this.#isClosed) return;
      if (performance.now() - startedAt > pauseMs.most) this.#pauseMs = pauseMs.first;
      onExit(code, signal, this.#pauseMs);
      this.#timer = setTimeout(() => this.#start(), this.#pauseMs);
      this.#pauseMs = Math.min(this.#pauseMs * 2, pauseMs.most);
    };
    child.once('exit', ended);
    child.once('error', () => ended(null, null));
    onStart?.();
  }
}
