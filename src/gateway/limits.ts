/** The limits of connections, counted by person and address. */

import { networkOf } from '../auth/loginLimits.ts';
import type { Seat } from '../relay/sharedSeats.ts';

export interface ConnectionLimits {
  /** Subscriptions of one connection. */
  subscriptions: number;
  connectionsPerUser: number;
  /** A network of /64 counts as one address. */
  connectionsPerAddress: number;
  /** Upgrades per second on this replica. */
  handshakes: number;
}

/** The seats of all replicas; see relay/sharedSeats.ts. */
export interface Elsewhere {
  take(seats: readonly Seat[]): Promise<boolean>;
  leave(keys: readonly string[]): void;
}

/** One for each connection of a person, here and on all replicas. Agents take none. */
export class Seats {
  readonly #limits: ConnectionLimits;
  readonly #elsewhere: Elsewhere | undefined;
  /** By key; keys without any are forgotten. */
  readonly #taken = new Map<string, number>();

  constructor(limits: ConnectionLimits, elsewhere?: Elsewhere) {
    this.#limits = limits;
    this.#elsewhere = elsewhere;
  }

  /** Whether this replica alone has as many connections of the address as it may. */
  isFull(address: string): boolean {
    return this.#of(addressKey(address)) >= this.#limits.connectionsPerAddress;
  }

  /** Undefined: there is none here. @param user empty for anonymous */
  take(user: string, address: string): TakenSeat | undefined {
    const wanted: Seat[] = [{ key: addressKey(address), most: this.#limits.connectionsPerAddress }];
    if (user !== '') wanted.push({ key: `user ${user}`, most: this.#limits.connectionsPerUser });
    if (wanted.some(({ key, most }) => this.#of(key) >= most)) return undefined;
    for (const { key } of wanted) this.#taken.set(key, this.#of(key) + 1);
    return new TakenSeat(this, wanted, this.#elsewhere);
  }

  /** Called by the seat that is left. */
  free(key: string): void {
    const left = this.#of(key) - 1;
    if (left > 0) this.#taken.set(key, left);
    else this.#taken.delete(key);
  }

  #of(key: string): number {
    return this.#taken.get(key) ?? 0;
  }
}

/** Of one connection. */
export class TakenSeat {
  readonly #seats: Seats;
  readonly #wanted: readonly Seat[];
  readonly #elsewhere: Elsewhere | undefined;
  #confirmed: Promise<boolean> | undefined;

  constructor(seats: Seats, wanted: readonly Seat[], elsewhere: Elsewhere | undefined) {
    this.#seats = seats;
    this.#wanted = wanted;
    this.#elsewhere = elsewhere;
  }

  /** Whether it is free over all replicas too; undefined: this is the only one. Once; never rejects. */
  confirm(): Promise<boolean> | undefined {
    this.#confirmed = this.#elsewhere?.take(this.#wanted);
    return this.#confirmed;
  }

  /** Once. */
  leave(): void {
    for (const { key } of this.#wanted) this.#seats.free(key);
    void this.#confirmed?.then((isFree) => {
      if (isFree) this.#elsewhere?.leave(this.#wanted.map(({ key }) => key));
    });
  }
}

const addressKey = (address: string): string => `address ${networkOf(address)}`;
