/** The relay within one process: hubs that share a bus hear each other, a hub alone talks to nobody. */

import { alwaysFollowed } from './relay.ts';
import type { Relay, RelayRecord, RoomsHere } from './relay.ts';

/** What the relays of several hubs in one process meet on. */
export class MemoryBus {
  readonly relays = new Set<MemoryRelay>();
}

export class MemoryRelay implements Relay {
  readonly #bus: MemoryBus;
  #rooms: RoomsHere | undefined;
  #deliver: ((room: string, record: RelayRecord) => void) | undefined;

  constructor(bus: MemoryBus = new MemoryBus()) {
    this.#bus = bus;
  }

  async start(deliver: (room: string, record: RelayRecord) => void): Promise<void> {
    this.#deliver = deliver;
    this.#bus.relays.add(this);
    await Promise.resolve();
  }

  publish(room: string, record: RelayRecord): void {
    if (this.#bus.relays.size < 2 || !this.#bus.relays.has(this)) return;
    for (const other of this.#bus.relays) if (other !== this) other.#receive(room, record);
  }

  follow(rooms: RoomsHere): void {
    this.#rooms = rooms;
  }

  async close(): Promise<void> {
    this.#bus.relays.delete(this);
    this.#deliver = undefined;
    await Promise.resolve();
  }

  #receive(room: string, record: RelayRecord): void {
    if (!room.startsWith(alwaysFollowed) && !this.#rooms?.has(room)) return;
    // Not within the publisher's call: a real relay never answers in the same turn either.
    setImmediate(() => this.#deliver?.(room, record));
  }
}
