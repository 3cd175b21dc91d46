/** All strips of a room on one time axis with one crosshair. */

import { useMantineColorScheme } from '@mantine/core';
import { type PointerEvent, type ReactNode, useCallback, useEffect, useMemo, useRef, useState } from 'react';
import type { TimelineItem } from '../../../src/protocol/kinds.ts';
import { useShared } from '../context.ts';
import { useStore } from '../lib/store.ts';
import type { HostRoom } from '../state/hostRoom.ts';
import { filledGaps } from '../state/timeline.ts';
import { columnsOf } from './columns.ts';
import { followCross } from './Flag.tsx';
import { Lane } from './Lane.tsx';
import { readPalette } from './palette.ts';
import type { DataState } from './paint.ts';
import { signatureOf, type Strip, stripsOf } from './strips.ts';
import { StripView } from './StripView.tsx';
import { useAnchor } from './useAnchor.ts';
import type { View } from './view.ts';

export interface StripsProps {
  room: HostRoom;
  view: View;
  items: readonly TimelineItem[];
  /** Hub time, ms. */
  now: () => number;
  onPick: (item: TimelineItem) => void;
  compact: boolean;
  /** What follows below the axis. */
  children?: ReactNode;
}

const staleAfterMs = 3_000;
const offlineAfterMs = 10_000;
const phoneStrips = new Set<Strip['id']>(['cpu', 'memory', 'network', 'disk']);
/** Narrower holes get no words. */
const wordPx = 56;

export function Strips({ room, view, items, now, onPick, compact, children }: StripsProps) {
  const root = useRef<HTMLDivElement>(null);
  const strips = useStrips(room);
  const gaps = useMemo(() => filledGaps(items), [items]);
  const { colorScheme } = useMantineColorScheme();
  const palette = useRef(readPalette());

  const gapsNow = useRef(gaps);
  gapsNow.current = gaps;
  const state = useCallback((): DataState => {
    const newest = room.samples.latest?.at ?? null;
    const age = newest === null ? 0 : now() - newest;
    return {
      filled: gapsNow.current,
      staleSince: age > staleAfterMs ? newest : null,
      offlineSince: age > offlineAfterMs ? newest : null,
    };
  }, [room, now]);

  useEffect(() => {
    const measure = (): void => {
      const clip = root.current?.querySelector('.axis-box');
      if (clip) view.width.set(clip.clientWidth);
    };
    const observer = new ResizeObserver(measure);
    observer.observe(root.current!);
    measure();
    return () => observer.disconnect();
  }, [view, compact]);

  useEffect(() => {
    // The attribute of the page changes after this effect's commit, so read it in the next frame.
    const repaint = (): void => {
      palette.current = readPalette();
      view.look.update((look) => look + 1);
    };
    const frame = requestAnimationFrame(repaint);
    const media = matchMedia('(prefers-color-scheme: dark)');
    const later = (): number => requestAnimationFrame(repaint);
    media.addEventListener('change', later);
    return () => {
      cancelAnimationFrame(frame);
      media.removeEventListener('change', later);
    };
  }, [colorScheme, view]);

  useEffect(() => view.look.update((look) => look + 1), [gaps, view]);

  const freshness = useStore(view.freshness);
  useEffect(() => {
    const check = (): void => {
      const { staleSince, offlineSince } = state();
      view.freshness.set(offlineSince !== null ? 'offline' : staleSince !== null ? 'stale' : 'live');
    };
    const timer = setInterval(check, 500);
    const leave = room.samples.follow(check);
    return () => {
      clearInterval(timer);
      leave();
    };
  }, [room, view, state]);

  const readPaletteNow = useCallback(() => palette.current, []);
  const pointer = usePointer(view, root, compact);
  return (
    <div
      className={`scroller ${freshness}-data`}
      ref={root}
      onScroll={() => view.cross.update((cross) => (cross && 'px' in cross ? null : cross))}
    >
      <div className="strips" {...pointer} aria-label="Charts" role="group">
        {strips
          .filter((strip) => !compact || phoneStrips.has(strip.id))
          .map((strip) =>
            strip.reason ? (
              <div className="slim" key={strip.id}>
                <h3>{strip.title}</h3>
                {strip.reason}
              </div>
            ) : (
              <StripView
                key={`${strip.id}${compact}`}
                strip={strip}
                view={view}
                rows={room.rows}
                samples={room.samples}
                palette={readPaletteNow}
                state={state}
                compact={compact}
              />
            ),
          )}
        <Overlay view={view} room={room} items={items} gaps={gaps} state={state} />
      </div>
      <Lane view={view} items={items} onPick={onPick} compact={compact} />
      {children}
    </div>
  );
}

/** The strips, made anew only when the host sends other metrics. */
function useStrips(room: HostRoom): Strip[] {
  const [strips, setStrips] = useState<Strip[]>(() => stripsNow(room));
  useEffect(() => {
    let signature = '';
    let names = 0;
    const check = (): void => {
      // Names only ever grow; sizes such as memory may change with a reboot, so look again now and then.
      if (room.samples.names().length === names && room.samples.version % 30 !== 0) return;
      names = room.samples.names().length;
      const next = stripsNow(room);
      const nextSignature = signatureOf(next);
      if (nextSignature === signature) return;
      signature = nextSignature;
      setStrips(next);
    };
    check();
    return room.samples.follow(check);
  }, [room]);
  return strips;
}

const stripsNow = (room: HostRoom): Strip[] => stripsOf({ names: room.samples.names(), latest: room.samples.latest?.metrics ?? {} });

function usePointer(view: View, root: { current: HTMLElement | null }, compact: boolean) {
  const place = (event: PointerEvent): number | null => {
    const box = root.current?.querySelector('.axis-box')?.getBoundingClientRect();
    if (!box) return null;
    const px = event.clientX - box.left;
    return px >= 0 && px <= box.width ? px : null;
  };
  return {
    onPointerMove: (event: PointerEvent) => {
      const cross = view.cross.get();
      if (cross && 'pinned' in cross && event.pointerType === 'mouse') return;
      const px = place(event);
      if (event.pointerType === 'mouse') view.cross.set(px === null ? null : { px });
      else if (px !== null) view.cross.set({ at: view.timeAt(px), pinned: true });
    },
    onPointerLeave: (event: PointerEvent) => {
      if (event.pointerType === 'mouse') view.cross.update((cross) => (cross && 'px' in cross ? null : cross));
    },
    // A click holds the crosshair at that time, a second one lets it go.
    onClick: (event: React.MouseEvent) => {
      const px = place(event as unknown as PointerEvent);
      if (px === null) return;
      const cross = view.cross.get();
      if (cross && 'pinned' in cross && !compact) view.cross.set({ px });
      else view.cross.set({ at: Math.round(view.timeAt(px)), pinned: true });
    },
  };
}

interface OverlayProps {
  view: View;
  room: HostRoom;
  items: readonly TimelineItem[];
  gaps: readonly { from: number; to: number }[];
  state: () => DataState;
}

interface Word {
  text: string;
  from: number;
  to: number;
  /** Narrower ranges get no word. */
  leastPx: number;
}

/** Bands of notes, words about holes, the crosshair: one layer above all strips. */
function Overlay({ view, room, items, gaps, state }: OverlayProps) {
  const anchor = useAnchor(view);
  const isConnected = useStore(useShared().live.connection) === 'connected';
  const line = useRef<HTMLDivElement>(null);
  const cross = useStore(view.cross);
  useStore(view.freshness);
  useEffect(() => followCross(view, line), [view]);
  const from = anchor.end - anchor.windowMs;
  const { offlineSince, staleSince } = state();
  const words: Word[] = gaps.map((gap) => ({ text: 'back-filled', leastPx: 8, ...gap }));
  for (const hole of columnsOf(room.rows(), [], from, anchor.end).holes) words.push({ text: 'no data', leastPx: wordPx, ...hole });
  if (offlineSince !== null)
    words.push({ text: isConnected ? 'agent offline' : 'no connection', leastPx: 0, from: offlineSince, to: anchor.end });
  else if (staleSince !== null) words.push({ text: 'no sample', leastPx: 0, from: staleSince, to: anchor.end });
  const bands = items
    .filter((item) => item.kind === 'message' && item.until !== undefined)
    .map((item) => ({ key: item.id, from: item.at, to: item.until! }));
  if (cross && 'at' in cross && cross.until !== undefined) bands.push({ key: 'hovered', from: cross.at, to: cross.until });
  return (
    <div className="over" aria-hidden="true">
      <div className="moving" ref={anchor.ref}>
        {bands.map((band) => (
          <div className="band" key={band.key} style={{ left: anchor.x(band.from), width: anchor.x(band.to) - anchor.x(band.from) }} />
        ))}
        {words
          .map((word) => ({ ...word, left: anchor.x(Math.max(word.from, from)), right: anchor.x(word.to) }))
          .filter(({ left, right, leastPx }) => right - left > leastPx)
          .map((word) => (
            <span
              className="word"
              key={`${word.text}${word.from}`}
              style={{ left: Math.max(36, Math.min((word.left + word.right) / 2, anchor.width - 40)) }}
            >
              {word.text}
            </span>
          ))}
      </div>
      <div className="cross-line" ref={line} />
    </div>
  );
}
