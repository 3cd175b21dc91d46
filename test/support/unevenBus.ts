/** Relays of hubs in one process that bring records late, or lose them, as a test wants. */

import type { Relay, RelayRecord, RoomsHere } from '../../src/relay/relay.ts';

export interface Unevenness {
  /** Milliseconds each batch of a replica takes to each other one. */
  delayMs(): number;
  /** Whether this record does not arrive at this replica. */
  loses?(room: string, record: RelayRecord): boolean;
  /** Whether this record arrives twice. */
  repeats?(room: string, record: RelayRecord): boolean;
}

export class UnevenBus {
  readonly relays = new Set<UnevenRelay>();
  readonly unevenness: Unevenness;

  constructor(unevenness: Unevenness) {
    this.unevenness = unevenness;
  }
}

/** Keeps the order of each pair of replicas, as the contract says; between pairs anything may overtake anything. */
export class UnevenRelay implements Relay {
  readonly #bus: UnevenBus;
  #rooms: RoomsHere | undefined;
  #deliver: ((room: string, record: RelayRecord) => void) | undefined;
  /** What is on the way from each other replica. */
  readonly #coming = new Map<UnevenRelay, [string, RelayRecord][]>();

  constructor(bus: UnevenBus) {
    this.#bus = bus;
  }

  async start(deliver: (room: string, record: RelayRecord) => void): Promise<void> {
    this.#deliver = deliver;
    this.#bus.relays.add(this);
    await Promise.resolve();
  }

  publish(room: string, record: RelayRecord): void {
    for (const other of this.#bus.relays) if (other !== this) other.#bring(this, room, record);
  }

  follow(rooms: RoomsHere): void {
    this.#rooms = rooms;
  }

  async close(): Promise<void> {
    this.#bus.relays.delete(this);
    this.#deliver = undefined;
    await Promise.resolve();
  }

  #bring(from: UnevenRelay, room: string, record: RelayRecord): void {
    const { delayMs, loses, repeats } = this.#bus.unevenness;
    if (loses?.(room, record)) return;
    const records: [string, RelayRecord][] = Array.from({ length: repeats?.(room, record) ? 2 : 1 }, () => [room, record]);
    const waiting = this.#coming.get(from);
    if (waiting) return void waiting.push(...records);
    const batch = records;
    this.#coming.set(from, batch);
    setTimeout(() => {
      this.#coming.delete(from);
      for (const [name, one] of batch) if (this.#rooms?.has(name)) this.#deliver?.(name, one);
    }, delayMs());
  }
}
