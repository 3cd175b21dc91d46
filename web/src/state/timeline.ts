/** The messages and events of one conversation, in one order for everybody. */

import type { Event, Message, TimelineItem } from '../../../src/protocol/kinds.ts';
import { Store } from '../lib/store.ts';

/** A message this browser has posted and the hub has not yet acknowledged. */
export interface Unsent {
  kind: 'unsent';
  key: string;
  text: string;
  at?: number;
  /** When it was written, by which it stands in the timeline while `at` is open. */
  writtenAt: number;
  state: 'waiting' | 'failed';
  /** Why it failed, in words of the hub. */
  reason?: string;
}

/** More are let go from the old end; scrolling up fetches them again. */
const kept = 3_000;

export interface TimelineState {
  /** Ascending by effective time, ties by id. */
  items: readonly TimelineItem[];
  /** Cursor for older items; null when there are none, undefined before the first page. */
  older: string | null | undefined;
}

const before = (a: TimelineItem, b: TimelineItem): number => a.at - b.at || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);

/** Later versions of an item replace earlier ones; a version older than the one known is ignored. */
const isNewer = (known: TimelineItem, item: TimelineItem): boolean => {
  if (known.kind !== 'message' || item.kind !== 'message') return true;
  const version = (message: Message): number => Math.max(message.createdAt, message.editedAt ?? 0, message.deletedAt ?? 0);
  return version(item) >= version(known);
};

export class Timeline extends Store<TimelineState> {
  constructor() {
    super({ items: [], older: undefined });
  }

  /** Puts items in their places; those known by id are replaced. */
  add(items: readonly TimelineItem[]): void {
    if (items.length === 0) return;
    const byId = new Map(this.get().items.map((item) => [item.id, item]));
    for (const item of items) {
      const known = byId.get(item.id);
      if (!known || isNewer(known, item)) byId.set(item.id, item);
    }
    const all = [...byId.values()].sort(before);
    const over = Math.max(0, all.length - kept);
    this.set({ items: all.slice(over), older: over > 0 ? all[over]!.id : this.get().older });
  }

  /** Takes a page of older items with the cursor for the next one. */
  addPage(items: readonly TimelineItem[], older: string | null): void {
    this.add(items);
    this.update((state) => ({ ...state, older }));
  }

  /** Starts again from the newest page, as after a hole that could not be recovered; what came live meanwhile stays. */
  replace(items: readonly TimelineItem[], older: string | null): void {
    const newest = items.reduce((last, item) => (item.id > last ? item.id : last), '');
    // Ids rise with the time of posting.
    const since = this.get().items.filter((item) => item.id > newest);
    this.set({ items: [], older });
    this.add([...items, ...since]);
  }
}

/** Ranges in which the charts show data that came late. */
export const filledGaps = (items: readonly TimelineItem[]): { from: number; to: number }[] =>
  items
    .filter(
      (item): item is Event =>
        item.kind === 'event' && item.what === 'gap_filled' && item.until !== undefined && item.details['samples'] !== 0,
    )
    .map((item) => ({ from: item.at, to: item.until! }));
