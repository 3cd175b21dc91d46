/** Gathers what one turn of the event loop wants written, and writes it once at its end. */

import type { Client } from './client.ts';
import type { Membership, Room } from './room.ts';

/** What the writing finds out; the hub acts on it. */
export interface TurnEvents {
  /** The client's queue went over the limit: publications of skippable rooms stop. */
  becameSlow(client: Client): void;
  /** A publication was not written to a slow client; its membership is paused. */
  skipped(member: Membership): void;
  /** The client's queue would grow over the cap. */
  tooSlow(client: Client): void;
  /** The hub began to close it. */
  closed(client: Client): void;
  /** Replies and single pushes written. */
  replied(count: number): void;
}

/** From so many rooms on, what may wait goes to a client in one write per `windowMs`: below, windows would mostly hold one text. */
export const manyRooms = 32;
const windowMs = 20;

export class Turn {
  #clients: Client[] = [];
  #rooms: Room[] = [];
  #corked: Client[] = [];
  readonly #held = new Set<Client>();
  #window: NodeJS.Timeout | undefined;
  #scheduled = false;
  #writing = false;
  readonly events: TurnEvents;

  constructor(events: TurnEvents) {
    this.events = events;
  }

  addClient(client: Client): void {
    this.#clients.push(client);
    this.#schedule();
  }

  addRoom(room: Room): void {
    this.#rooms.push(room);
    this.#schedule();
  }

  /** Gathers this client's writes until the end of the turn's writing, with what a window holds for it. */
  cork(client: Client): void {
    if (client.corked) return;
    if (!this.#writing) return this.release(client);
    client.corked = true;
    if (!this.#held.delete(client)) client.wire.cork();
    this.#corked.push(client);
  }

  /** Gathers this client's writes until the end of the current window, unless `cork` or `release` comes first. */
  hold(client: Client): void {
    if (client.corked || this.#held.has(client)) return;
    this.#held.add(client);
    client.wire.cork();
    this.#window ??= setTimeout(() => this.#endWindow(), windowMs);
  }

  /** Writes what a window holds for this client. */
  release(client: Client): void {
    if (this.#held.delete(client)) client.wire.uncork();
  }

  /** Writes everything that is due or held. */
  close(): void {
    this.flush();
    this.#endWindow();
  }

  #endWindow(): void {
    clearTimeout(this.#window);
    this.#window = undefined;
    for (const client of this.#held) this.release(client);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    // Runs after everything that was readable in this turn has been handled, so that all of it is joined.
    setImmediate(() => this.flush());
  }

  /**
   * Rooms first: what they have for a client with replies is put behind those, into one frame. A subscribe reply so stands before
   * the first push of its room even for SDKs that mix up frames which arrive together.
   */
  flush(): void {
    this.#scheduled = false;
    const clients = this.#clients;
    const rooms = this.#rooms;
    this.#clients = [];
    this.#rooms = [];
    this.#writing = true;
    for (const room of rooms) room.flush();
    for (const client of clients) client.flush();
    this.#writing = false;
    const corked = this.#corked;
    this.#corked = [];
    for (const client of corked) {
      client.corked = false;
      client.wire.uncork();
    }
  }
}
