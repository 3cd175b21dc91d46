/** Brings the publications of each room to its members in the order of their offsets. */

import { encodePush } from '../protocol/replies.ts';
import type { RelayRecord } from '../relay/relay.ts';
import type { HubMetrics } from './metrics.ts';
import { maxRecovered } from './recovery.ts';
import type { Membership, Room } from './room.ts';
import { Spread } from './spread.ts';

/** With so many held the stream is asked at once: one missing publication must not make the room wait while others pour in. */
const manyHeld = 100;

export interface DeliveryOptions {
  metrics: HubMetrics;
  onError?: (error: unknown, what: string) => void;
  /** How long a publication waits for missing ones before the stream is asked. */
  holeWaitMs?: number;
  /** Over how long the ends of one room's memberships are spread. */
  spreadMs?: number;
  /** Tells the member that its state is insufficient and takes it out of the room. */
  end: (membership: Membership) => void;
}

export class Delivery {
  readonly #options: DeliveryOptions;
  readonly #spread: Spread;

  constructor(options: DeliveryOptions) {
    this.#options = options;
    this.#spread = new Spread(options.spreadMs ?? 1000);
  }

  /** Takes a record that arrived for the room: delivers it, keeps it for later, or drops what was delivered before. */
  deliver(room: Room, record: RelayRecord): void {
    const { offset, epoch } = record;
    if (offset === undefined || epoch === undefined) return this.#put(room, record);
    const first = !room.order.known;
    switch (room.order.take(epoch, offset, record)) {
      case 'deliver':
        this.#put(room, record, first);
        for (const held of room.order.release()) this.#put(room, held);
        break;
      case 'held':
        if (!room.holeTimer) this.#wait(room, this.#options.holeWaitMs ?? 200);
        else if (room.order.held === manyHeld) this.#wait(room, 0);
        break;
      case 'overflow':
        this.#giveUp(room, 'hole');
        break;
      case 'turned':
        for (const member of room.joining) member.collect(record);
        this.#giveUp(room, 'epoch');
        break;
      case 'duplicate':
        this.#options.metrics.dropped('duplicate', 1);
    }
  }

  close(): void {
    this.#spread.close();
  }

  /** The first publication after nothing was known names its epoch, which clients take over. */
  #put(room: Room, record: RelayRecord, first = false): void {
    for (const member of room.joining) member.collect(record);
    room.appendPublication(encodePush(room.head, record, first ? record.epoch : undefined), record.offset ?? 0);
  }

  /** Asks the stream after so long, unless what is missing has come. */
  #wait(room: Room, ms: number): void {
    const { order } = room;
    const since = order.offset;
    room.stopWaiting();
    room.holeTimer = setTimeout(() => {
      if (order.offset === since) return void this.#fillHole(room);
      room.holeTimer = undefined;
      this.#waitForRest(room);
    }, ms);
  }

  /** A hole that came after another one gets its own time. */
  #waitForRest(room: Room): void {
    if (room.order.hole) this.#wait(room, this.#options.holeWaitMs ?? 200);
  }

  async #fillHole(room: Room): Promise<void> {
    const { order, stream, holeTimer } = room;
    const hole = order.hole;
    if (hole && stream) {
      try {
        const { entries, top } = await stream.read(room.name, {
          since: hole.since,
          limit: Math.min(hole.until - hole.since, maxRecovered),
          epoch: order.epoch,
        });
        if (room.order === order && top.epoch === order.epoch) {
          const filled = order.fill(entries.map((entry) => ({ offset: entry.offset, entry: { ...entry, epoch: top.epoch } })));
          for (const record of filled) this.#put(room, record);
        }
      } catch (error) {
        this.#options.onError?.(error, `reading the hole in ${room.name}`);
      }
    }
    // Meanwhile the room may have been left and entered again, or this hole given up: then another one is being waited for.
    if (room.order !== order || room.holeTimer !== holeTimer) return;
    room.holeTimer = undefined;
    if (order.offset > (hole?.since ?? -1)) this.#waitForRest(room);
    else this.#giveUp(room, 'hole');
  }

  /** All members missed something: they get nothing more and subscribe again, spread over a while. */
  #giveUp(room: Room, why: 'hole' | 'epoch'): void {
    room.stopWaiting();
    if (why === 'hole') room.order.skip();
    room.flush();
    let lost = 0;
    for (const membership of room.members.values()) {
      if (membership.state !== 'live') continue;
      room.pause(membership);
      this.#spread.add(() => this.#options.end(membership));
      lost++;
    }
    this.#options.metrics.dropped(why, lost);
  }
}
