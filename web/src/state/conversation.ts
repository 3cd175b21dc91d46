/** A room's conversation: its timeline kept current, what is written on its way out. */

import type { TimelineItem } from '../../../src/protocol/kinds.ts';
import type { NewMessage, Timeline as TimelinePage } from '../../../src/protocol/rest.ts';
import { conversationRoom } from '../../../src/protocol/rooms.ts';
import { call } from '../api.ts';
import { Store } from '../lib/store.ts';
import type { Live, OpenRoom } from '../live.ts';
import { Outbox } from './outbox.ts';
import { Timeline } from './timeline.ts';

const pageSize = 60;

export class Conversation {
  readonly timeline = new Timeline();
  readonly outbox: Outbox;
  readonly failed = new Store<string | null>(null);
  readonly #roomId: string;
  readonly #room: OpenRoom;
  readonly #onEvent: (item: TimelineItem) => void;
  readonly #stopFollowing: () => void;
  #loading = false;

  /** @param onItem told of everything that arrives live */
  constructor(live: Live, roomId: string, onItem: (item: TimelineItem) => void) {
    this.#roomId = roomId;
    this.#onEvent = onItem;
    this.outbox = new Outbox({
      room: roomId,
      storage: localStorage,
      now: live.now,
      send: async (draft) => this.timeline.add([await call<TimelineItem>('POST', `/rooms/${roomId}/messages`, draft satisfies NewMessage)]),
      later: (run, delayMs) => {
        const timer = setTimeout(run, delayMs);
        return () => clearTimeout(timer);
      },
    });
    this.#room = live.open(conversationRoom(roomId), {
      publication: (data) => this.#take(data),
      subscribed: (_, recovered) => {
        if (!recovered) void this.#readNewest();
        this.outbox.wake();
      },
    });
    this.#stopFollowing = live.connection.follow(() => {
      if (live.connection.get() === 'connected') this.outbox.wake();
    });
  }

  close(): void {
    this.#room.close();
    this.#stopFollowing();
    this.outbox.close();
  }

  /** Fetches the page before the oldest item, if there is one. */
  async readOlder(): Promise<void> {
    const { older } = this.timeline.get();
    if (!older || this.#loading) return;
    this.#loading = true;
    try {
      const page = await call<TimelinePage>('GET', `/rooms/${this.#roomId}/messages?limit=${pageSize}&before=${older}`);
      this.timeline.addPage(page.items as TimelineItem[], page.next);
    } finally {
      this.#loading = false;
    }
  }

  async #readNewest(): Promise<void> {
    try {
      const page = await call<TimelinePage>('GET', `/rooms/${this.#roomId}/messages?limit=${pageSize}`);
      const { items: before, older } = this.timeline.get();
      const known = new Set(before.map(({ id }) => id));
      this.timeline.replace(page.items as TimelineItem[], page.next);
      // What was missed acts as if it came live; the first page is not news.
      if (older !== undefined) for (const item of page.items as TimelineItem[]) if (!known.has(item.id)) this.#onEvent(item);
      this.failed.set(null);
    } catch (error) {
      this.failed.set(error instanceof Error ? error.message : String(error));
    }
  }

  #take(data: unknown): void {
    const item = data as TimelineItem;
    if (item.kind !== 'message' && item.kind !== 'event') return;
    this.timeline.add([item]);
    this.#onEvent(item);
  }
}
