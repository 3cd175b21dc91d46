/** Counts connections by person and address, and the rate of handshakes; says when it is too many. */

export interface ConnectionLimits {
  /** Subscriptions of one connection. */
  subscriptions: number;
  connectionsPerUser: number;
  connectionsPerAddress: number;
  /** Upgrades per second. */
  handshakes: number;
}

/** A bucket that fills at `perSecond` up to `burst`. */
export class Bucket {
  #level: number;
  #at = performance.now();
  readonly #perSecond: number;
  readonly #burst: number;

  constructor(perSecond: number, burst: number = perSecond) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#level = burst;
  }

  /** Takes one, unless there is none. */
  take(): boolean {
    const now = performance.now();
    this.#level = Math.min(this.#burst, this.#level + ((now - this.#at) / 1000) * this.#perSecond);
    this.#at = now;
    if (this.#level < 1) return false;
    this.#level--;
    return true;
  }
}

/** How many connections each key has; keys without any are forgotten. */
export class Tally {
  readonly #counts = new Map<string, number>();

  of(key: string): number {
    return this.#counts.get(key) ?? 0;
  }

  add(key: string): void {
    this.#counts.set(key, this.of(key) + 1);
  }

  remove(key: string): void {
    const left = this.of(key) - 1;
    if (left > 0) this.#counts.set(key, left);
    else this.#counts.delete(key);
  }
}
