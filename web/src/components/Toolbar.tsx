/** Live or paused, and how long a window. */

import { IconPlayerPauseFilled } from '@tabler/icons-react';
import { useShared, useNow } from '../context.ts';
import { clock, duration, zone } from '../lib/format.ts';
import { useStore } from '../lib/store.ts';
import { type View, windows } from '../charts/view.ts';
import type { HostRoom } from '../state/hostRoom.ts';

export interface ToolbarProps {
  view: View;
  /** Of the buckets that a long window shows. */
  resolution: HostRoom['resolution'];
  onWindow: (key: string) => void;
  withRange: boolean;
}

export function Toolbar({ view, resolution, onWindow, withRange }: ToolbarProps) {
  const { live } = useShared();
  const pausedAt = useStore(view.pausedAt);
  const windowMs = useStore(view.windowMs);
  const connection = useStore(live.connection);
  const buckets = useStore(resolution);
  const now = useNow(5_000);
  const end = pausedAt ?? now;
  const word = pausedAt !== null ? 'Paused' : connection === 'connected' ? 'Live' : 'Connecting…';
  const look = pausedAt !== null ? 'live paused' : connection === 'connected' ? 'live' : 'live waiting';
  return (
    <div className="toolbar">
      <button
        type="button"
        className={look}
        aria-pressed={pausedAt === null}
        title={pausedAt === null ? 'Pause (space)' : 'Back to live (l)'}
        onClick={() => view.togglePause()}
      >
        {pausedAt !== null && <IconPlayerPauseFilled size={13} />}
        {word}
      </button>
      <div className="segments" role="group" aria-label="Window">
        {windows.map(({ ms, label, key }) => (
          <button type="button" key={key} aria-pressed={ms === windowMs} onClick={() => onWindow(key)}>
            {label}
          </button>
        ))}
      </div>
      {withRange && (
        <span className="range">
          {`${clock(end - windowMs)} – ${clock(end)} ${zone(end)}`}
          {buckets && (
            <span className="resolution" title={buckets.tier === 'raw' ? 'Read from samples' : `Read from the ${buckets.tier} history`}>
              {`${duration(buckets.step)} average, min to max`}
            </span>
          )}
        </span>
      )}
    </div>
  );
}
