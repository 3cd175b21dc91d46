/** What a room's page is given, wide or on a phone. */

import type { RefObject } from 'react';
import type { TimelineItem } from '../../../src/protocol/kinds.ts';
import type { HostDialog } from '../components/HostDialogs.tsx';
import type { RoomParts } from './useRoom.ts';

export interface RoomViewProps {
  parts: RoomParts;
  name: string;
  group: string;
  items: readonly TimelineItem[];
  hasSample: boolean;
  mayManage: boolean;
  mayPost: boolean;
  onDialog: (dialog: HostDialog) => void;
  onWindow: (key: string) => void;
  inputRef: RefObject<HTMLTextAreaElement | null>;
  onPick: (item: TimelineItem) => void;
}
