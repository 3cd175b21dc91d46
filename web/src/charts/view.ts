/** The time window that all strips of a room share, with the one loop that moves them. */

import { Store } from '../lib/store.ts';

export const windows = [
  { ms: 60_000, label: '60 s', key: '60s' },
  { ms: 300_000, label: '5 min', key: '5m' },
  { ms: 900_000, label: '15 min', key: '15m' },
  { ms: 3_600_000, label: '1 h', key: '1h' },
] as const;

/** Where the crosshair is: at the pointer, so that time flows past it, or at a time, so that it moves with the charts. */
export type Cross = { px: number } | { at: number; until?: number; pinned?: true };

/** Something that moves with time. */
export interface Layer {
  /** Moves what is drawn already; called every frame. */
  place(end: number): void;
  /** True when it has to be drawn anew. */
  isDue(end: number): boolean;
  draw(end: number): void;
}

/** What one frame may spend on drawing before the rest waits for the next frame; rasterising what was drawn costs as much again. */
const drawBudgetMs = 0.5;
/** Figures that follow the crosshair change this often. */
const figuresEveryMs = 100;

export class View {
  readonly windowMs = new Store<number>(900_000);
  /** The right edge while paused; null: live. */
  readonly pausedAt = new Store<number | null>(null);
  readonly cross = new Store<Cross | null>(null);
  /** Time under the crosshair, at most ten times a second. */
  readonly crossTime = new Store<number | null>(null);
  /** Width of the plots in CSS pixels. */
  readonly width = new Store(0);
  /** Whether the newest sample is what it was just now. */
  readonly freshness = new Store<'live' | 'stale' | 'offline'>('live');
  /** Increases when colours or sizes change, so that everything is drawn anew. */
  readonly look = new Store(0);
  readonly #hubNow: () => number;
  readonly #layers: Layer[] = [];
  readonly #onFrame = new Set<(end: number) => void>();
  #frame = 0;
  #turn = 0;
  #figuresAt = 0;
  #isStill = false;

  constructor(hubNow: () => number) {
    this.#hubNow = hubNow;
  }

  /** True where people asked for less motion: time then goes in steps of a second. */
  get isStill(): boolean {
    return this.#isStill;
  }

  /** The time at the right edge. */
  end(): number {
    const paused = this.pausedAt.get();
    if (paused !== null) return paused;
    const now = this.#hubNow();
    return this.isStill ? Math.floor(now / 1000) * 1000 : now;
  }

  pxPerMs(): number {
    return this.width.get() / this.windowMs.get();
  }

  xOf(at: number, end = this.end()): number {
    return this.width.get() - (end - at) * this.pxPerMs();
  }

  timeAt(px: number, end = this.end()): number {
    return end - (this.width.get() - px) / this.pxPerMs();
  }

  /** Pixels of the crosshair from the plots' left edge; null: none or out of sight. */
  crossX(end: number): number | null {
    const cross = this.cross.get();
    if (!cross) return null;
    const x = 'px' in cross ? cross.px : this.xOf(cross.at, end);
    return x >= 0 && x <= this.width.get() ? x : null;
  }

  togglePause(): void {
    this.pausedAt.set(this.pausedAt.get() === null ? this.end() : null);
  }

  addLayer(layer: Layer): () => void {
    this.#layers.push(layer);
    return () => {
      const index = this.#layers.indexOf(layer);
      if (index >= 0) this.#layers.splice(index, 1);
    };
  }

  /** Runs in every frame after the layers were placed. */
  onFrame(run: (end: number) => void): () => void {
    this.#onFrame.add(run);
    return () => this.#onFrame.delete(run);
  }

  /** Starts the loop; the returned function stops it. */
  start(): () => void {
    // Asking a media query anew in every frame would compute styles each time.
    const still = matchMedia('(prefers-reduced-motion: reduce)');
    const changed = (): void => {
      this.#isStill = still.matches;
    };
    changed();
    still.addEventListener('change', changed);
    const tick = (): void => {
      this.#tick();
      this.#frame = requestAnimationFrame(tick);
    };
    this.#frame = requestAnimationFrame(tick);
    return () => {
      cancelAnimationFrame(this.#frame);
      still.removeEventListener('change', changed);
    };
  }

  #tick(): void {
    const started = performance.now();
    const end = this.end();
    // Strips are drawn once per sample, a few per frame; between that they are only shifted.
    const count = this.#layers.length;
    for (let step = 0; step < count; step += 1) {
      const index = (this.#turn + step) % count;
      const layer = this.#layers[index]!;
      if (!layer.isDue(end)) continue;
      layer.draw(end);
      if (performance.now() - started > drawBudgetMs) {
        this.#turn = (index + 1) % count;
        break;
      }
    }
    for (const layer of this.#layers) layer.place(end);
    for (const run of this.#onFrame) run(end);
    if (started - this.#figuresAt >= figuresEveryMs) {
      this.#figuresAt = started;
      const x = this.crossX(end);
      this.crossTime.set(x === null ? null : Math.round(this.timeAt(x, end)));
    }
  }
}
