/** Keeps the disk's faults from being the agent's: each is told once, and when it is over. */

import type { Log } from '../log.ts';

export class Trouble {
  readonly #log: Log;
  #code: string | undefined;
  #unreadable: string | undefined;

  constructor(log: Log) {
    this.#log = log;
  }

  /** Of the last attempt to write, such as ENOSPC; undefined while all is well. */
  get code(): string | undefined {
    return this.#code;
  }

  /** True if it went well; `spared` failures are not told. */
  attempt(doing: string, run: () => void, isSpared: (error: unknown) => boolean = () => false): boolean | 'spared' {
    try {
      run();
      if (doing === 'writing') this.#recovered();
      return true;
    } catch (error) {
      if (isSpared(error)) return 'spared';
      this.tell(doing, error);
      return false;
    }
  }

  tell(doing: string, error: unknown): void {
    const { code = 'failed' } = error as NodeJS.ErrnoException;
    if (doing === 'reading') {
      if (this.#unreadable !== code) this.#log.error('a part of the spool cannot be read; it is skipped', { error: String(error) });
      this.#unreadable = code;
      return;
    }
    if (this.#code === undefined) {
      this.#log.error('the spool cannot use its disk; what is not sent is kept in memory only', { doing, error: String(error) });
    }
    this.#code = code;
  }

  #recovered(): void {
    if (this.#code !== undefined) this.#log.info('the spool can use its disk again');
    this.#code = undefined;
  }
}
