/** Shifts a drawn layer with time; the compositor does it, so a frame costs the page nothing. */

import type { View } from './view.ts';

/** Slower than this, motion goes in whole device pixels, which keeps lines sharp. */
const slowPxPerS = 4;

export class Mover {
  readonly #view: View;
  readonly #keptMs: number | (() => number);
  #element: HTMLElement | null = null;
  #animation: Animation | undefined;
  #drawnEnd = NaN;
  #pxPerMs = NaN;
  #pausedAt: number | null = null;
  #shiftedFor = NaN;

  /** @param keptMs how long the layer stays at most before it is drawn anew */
  constructor(view: View, keptMs: number | (() => number)) {
    this.#view = view;
    this.#keptMs = keptMs;
  }

  /** Called every frame; acts only when the layer was drawn anew or the way of time changed. */
  place(element: HTMLElement | null, drawnEnd: number, end: number): void {
    const pxPerMs = this.#view.pxPerMs();
    const pausedAt = this.#view.pausedAt.get();
    const moves = pausedAt === null && !this.#view.isStill;
    const same = element === this.#element && drawnEnd === this.#drawnEnd && pxPerMs === this.#pxPerMs && pausedAt === this.#pausedAt;
    if (!element || (same && (moves || this.#shiftedFor === end))) return;
    this.#element = element;
    this.#drawnEnd = drawnEnd;
    this.#pxPerMs = pxPerMs;
    this.#pausedAt = pausedAt;
    this.#shiftedFor = end;
    const before = this.#animation;
    this.#animation = undefined;
    if (moves) this.#animate(element, -(end - drawnEnd) * pxPerMs, pxPerMs);
    else element.style.transform = `translateX(${this.#whole(-(end - drawnEnd) * pxPerMs)}px)`;
    before?.cancel();
  }

  close(): void {
    this.#animation?.cancel();
    this.#animation = undefined;
  }

  #whole(px: number): number {
    return Math.round(px * devicePixelRatio) / devicePixelRatio;
  }

  #animate(element: HTMLElement, fromPx: number, pxPerMs: number): void {
    const keptMs = typeof this.#keptMs === 'number' ? this.#keptMs : this.#keptMs();
    const isSlow = pxPerMs * 1000 < slowPxPerS;
    const steps = Math.max(1, Math.ceil(keptMs * pxPerMs * devicePixelRatio));
    const from = isSlow ? this.#whole(fromPx) : fromPx;
    const distance = isSlow ? steps / devicePixelRatio : keptMs * pxPerMs;
    this.#animation = element.animate([{ transform: `translateX(${from}px)` }, { transform: `translateX(${from - distance}px)` }], {
      duration: distance / pxPerMs,
      easing: isSlow ? `steps(${steps}, end)` : 'linear',
      fill: 'forwards',
    });
  }
}
