/** Lets the timeline's left edge be dragged. */

import type { PointerEvent } from 'react';

const key = 'hostroom.timeline.width';
const leastPx = 360;
const mostPx = 440;

export function applyStoredWidth(): void {
  const stored = Number(localStorage.getItem(key));
  if (stored >= leastPx && stored <= mostPx) document.documentElement.style.setProperty('--timeline', `${stored}px`);
}

export function useResize(): (event: PointerEvent<HTMLElement>) => void {
  return (event) => {
    const grip = event.currentTarget;
    const room = grip.closest<HTMLElement>('.room');
    if (!room) return;
    grip.setPointerCapture(event.pointerId);
    const right = room.getBoundingClientRect().right;
    let width = 0;
    const moved = (move: globalThis.PointerEvent): void => {
      width = Math.round(Math.min(mostPx, Math.max(leastPx, right - move.clientX)));
      room.style.setProperty('--timeline', `${width}px`);
    };
    const done = (): void => {
      grip.removeEventListener('pointermove', moved);
      if (width > 0) localStorage.setItem(key, String(width));
    };
    grip.addEventListener('pointermove', moved);
    grip.addEventListener('pointerup', done, { once: true });
    grip.addEventListener('pointercancel', done, { once: true });
  };
}
