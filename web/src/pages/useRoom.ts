/** Opens everything a room needs and closes it again. */

import { useEffect, useState } from 'react';
import type { TimelineItem } from '../../../src/protocol/kinds.ts';
import { View, windows } from '../charts/view.ts';
import { useShared } from '../context.ts';
import { Store } from '../lib/store.ts';
import { Conversation } from '../state/conversation.ts';
import { HostRoom } from '../state/hostRoom.ts';

export interface RoomParts {
  room: HostRoom;
  conversation: Conversation;
  view: View;
  /** Whether the length of the window is known; until then nothing is drawn. */
  settled: Store<boolean>;
}

const windowKeyName = 'hostroom.window';
const windowOf = (key: string | null): number | undefined => windows.find((one) => one.key === key)?.ms;
const longestOwnMs = 900_000;

/** What the address says, else what this person chose last; undefined: as long as the history there is. */
export const wantedWindow = (key: string | null): number | undefined => windowOf(key) ?? windowOf(localStorage.getItem(windowKeyName));

export const rememberWindow = (key: string): void => localStorage.setItem(windowKeyName, key);

/** The smallest window up to 15 minutes that holds `spanMs` of history. */
export const windowFor = (spanMs: number): number =>
  windows.find(({ ms }) => spanMs <= ms + 2_000 && ms <= longestOwnMs)?.ms ?? longestOwnMs;

/** Sets the window once the history is here, so that its length is known. */
function settle(room: HostRoom, view: View, now: () => number, settled: Store<boolean>): () => void {
  const openedAt = now();
  const check = (): void => {
    if (settled.get() || room.filling.get()) return;
    const oldest = Math.min(...[room.samples, room.buckets].map((rows) => (rows.length > 0 ? rows.at[0]! : openedAt)));
    view.windowMs.set(windowFor(now() - oldest));
    room.need(view.windowMs.get());
    settled.set(true);
  };
  return room.filling.follow(check);
}

/** Null until the first effect ran. One room per component life: give the component the host's id as key. */
export function useRoom(hostId: string, windowKey: string | null): RoomParts | null {
  const { live, hosts } = useShared();
  const [parts, setParts] = useState<RoomParts | null>(null);
  useEffect(() => {
    const view = new View(live.now);
    const wanted = wantedWindow(windowKey);
    view.windowMs.set(wanted ?? longestOwnMs);
    const room = new HostRoom(live, hostId, view.windowMs.get());
    const settled = new Store(wanted !== undefined);
    const stopSettling = settle(room, view, live.now, settled);
    const conversation = new Conversation(live, hostId, (item: TimelineItem) => {
      if (item.kind !== 'event') return;
      if (item.what === 'gap_filled' && item.until !== undefined) room.refill(item.at, item.until + 1);
      if (item.what === 'host_renamed' && typeof item.details['to'] === 'string') hosts.rename(hostId, item.details['to']);
    });
    const stop = view.start();
    setParts({ room, conversation, view, settled });
    return () => {
      stop();
      stopSettling();
      conversation.close();
      room.close();
    };
    // The window only sets the beginning; later changes go to the view.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [hostId, live, hosts]);
  return parts;
}
