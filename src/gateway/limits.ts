/** The limits of connections, counted by person or address. */

export interface ConnectionLimits {
  /** Subscriptions of one connection. */
  subscriptions: number;
  connectionsPerUser: number;
  connectionsPerAddress: number;
  /** Upgrades per second. */
  handshakes: number;
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
