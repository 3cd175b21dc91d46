/** The event lane with the time axis: what happened when, below all strips. */

import {
  IconHistory,
  IconMessage2,
  IconPencil,
  IconPlayerStop,
  IconPlugConnected,
  IconPlus,
  IconPower,
  IconUsers,
} from '@tabler/icons-react';
import { memo, type ReactNode } from 'react';
import type { TimelineItem } from '../../../src/protocol/kinds.ts';
import { clock, clockSeconds, zone } from '../lib/format.ts';
import { timeStepMs } from '../lib/scale.ts';
import { useStore } from '../lib/store.ts';
import { titleOf } from '../components/eventWords.ts';
import { anchorKeptMs, useAnchor } from './useAnchor.ts';
import { Flag, LaneCross } from './Flag.tsx';
import type { View } from './view.ts';

const icons: Record<string, (size: number) => ReactNode> = {
  agent_joined: (size) => <IconPlugConnected size={size} stroke={1.75} />,
  agent_left: (size) => <IconPlayerStop size={size} stroke={1.75} />,
  host_booted: (size) => <IconPower size={size} stroke={1.75} />,
  gap_filled: (size) => <IconHistory size={size} stroke={1.75} />,
  identity_shared: (size) => <IconUsers size={size} stroke={1.75} />,
  host_added: (size) => <IconPlus size={size} stroke={1.75} />,
  host_renamed: (size) => <IconPencil size={size} stroke={1.75} />,
};

export const itemIcon = (item: TimelineItem, size: number): ReactNode =>
  item.kind === 'message' ? (
    <IconMessage2 size={size} stroke={1.75} />
  ) : (
    (icons[item.what]?.(size) ?? <IconHistory size={size} stroke={1.75} />)
  );

interface Mark {
  at: number;
  x: number;
  items: TimelineItem[];
}

/** Marks closer than this become one with a count. */
const joinPx = 14;

export function marksOf(items: readonly TimelineItem[], x: (at: number) => number, width: number): Mark[] {
  const marks: Mark[] = [];
  const placed = items
    .filter((item) => item.kind !== 'message' || item.deletedAt === undefined)
    // Something with a length is marked where it ended, a note on a range where it begins.
    .map((item) => ({ item, at: item.kind === 'event' ? (item.until ?? item.at) : item.at }))
    .sort((a, b) => a.at - b.at);
  for (const { item, at } of placed) {
    const place = x(at);
    if (place < -20 || place > width + 60) continue;
    const last = marks.at(-1);
    if (last && Math.abs(place - last.x) < joinPx) last.items.push(item);
    else marks.push({ at, x: place, items: [item] });
  }
  return marks;
}

export interface LaneProps {
  view: View;
  items: readonly TimelineItem[];
  onPick: (item: TimelineItem) => void;
  compact: boolean;
}

export const Lane = memo(function Lane({ view, items, onPick, compact }: LaneProps) {
  const marks = useAnchor(view);
  const ticks = useAnchor(view);
  const cross = useStore(view.cross);
  const hotAt = cross && 'at' in cross ? cross.at : null;
  const step = timeStepMs(ticks.windowMs, ticks.width, compact ? 84 : 70);
  const labels: number[] = [];
  // Whole steps of the wall clock, also in zones that are not whole hours off.
  const shift = new Date(ticks.end).getTimezoneOffset() * 60_000;
  const first = Math.ceil((ticks.end - ticks.windowMs - shift) / step) * step + shift;
  for (let at = first; at <= ticks.end + anchorKeptMs(ticks.windowMs) + step; at += step) labels.push(at);
  const withSeconds = step < 60_000;
  return (
    <div className="foot">
      <div className="lane">
        <div className="lane-title">Events</div>
        <div className="lane-box">
          <div className="moving" ref={marks.ref}>
            {items.map((item) =>
              item.until === undefined ? null : (
                <span
                  key={item.id}
                  className={item.kind === 'message' ? 'bar note' : 'bar gap'}
                  style={{ left: marks.x(item.at), width: Math.max(3, marks.x(item.until) - marks.x(item.at)) }}
                />
              ),
            )}
            {marksOf(items, marks.x, marks.width).map(({ at, x, items: joined }) => {
              const item = joined[0]!;
              const words = joined.map((one) => `${clockSeconds(one.at)} ${titleOf(one)}`).join('\n');
              const classes = ['mark', item.kind === 'message' ? 'person' : '', hotAt === at ? 'hot' : ''].join(' ');
              return (
                <button
                  type="button"
                  key={item.id}
                  className={classes}
                  style={{ left: x }}
                  title={words}
                  aria-label={words}
                  onClick={() => onPick(item)}
                >
                  {joined.length > 1 ? joined.length : itemIcon(item, 14)}
                </button>
              );
            })}
          </div>
          <LaneCross view={view} />
        </div>
      </div>
      <div className="axis">
        <ValuesAt view={view} />
        <div className="axis-box">
          <div className="moving" ref={ticks.ref}>
            {labels.map((at) => (
              <span className="tick" key={at} data-at={at} style={{ left: ticks.x(at) }}>
                {withSeconds ? clockSeconds(at) : clock(at)}
              </span>
            ))}
          </div>
          <Flag view={view} />
        </div>
      </div>
    </div>
  );
});

function ValuesAt({ view }: { view: View }) {
  const at = useStore(view.crossTime);
  return (
    <span className="axis-note">
      {at === null ? (
        `times in ${zone(Date.now())}`
      ) : (
        <>
          values at <b>{clockSeconds(at)}</b>
        </>
      )}
    </span>
  );
}
