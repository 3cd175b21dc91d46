/** Opens everything a room needs and closes it again. */

import { useEffect, useState } from 'react';
import type { TimelineItem } from '../../../src/protocol/kinds.ts';
import { View, windows } from '../charts/view.ts';
import { useShared } from '../context.ts';
import { Conversation } from '../state/conversation.ts';
import { HostRoom } from '../state/hostRoom.ts';

export interface RoomParts {
  room: HostRoom;
  conversation: Conversation;
  view: View;
}

export const windowOf = (key: string | null): number => windows.find((one) => one.key === key)?.ms ?? 900_000;

/** Null until the first effect ran. One room per component life: give the component the host's id as key. */
export function useRoom(hostId: string, windowKey: string | null): RoomParts | null {
  const { live, hosts } = useShared();
  const [parts, setParts] = useState<RoomParts | null>(null);
  useEffect(() => {
    const view = new View(live.now);
    view.windowMs.set(windowOf(windowKey));
    const room = new HostRoom(live, hostId, view.windowMs.get());
    const conversation = new Conversation(live, hostId, (item: TimelineItem) => {
      if (item.kind !== 'event') return;
      if (item.what === 'gap_filled' && item.until !== undefined) void room.fill(item.at, item.until + 1);
      if (item.what === 'host_renamed' && typeof item.details['to'] === 'string') hosts.rename(hostId, item.details['to']);
    });
    const stop = view.start();
    setParts({ room, conversation, view });
    return () => {
      stop();
      conversation.close();
      room.close();
    };
    // The window only sets the beginning; later changes go to the view.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [hostId, live, hosts]);
  return parts;
}
