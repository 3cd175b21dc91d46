/** The strip of per-core heat: one row per core, brighter where it was busier. */

import type { Rows } from '../state/rows.ts';
import { Mover } from './mover.ts';
import { partsOf, type Palette } from './palette.ts';
import type { Layer, View } from './view.ts';

const aheadMs = 2_500;
const maxRows = 16;

export class Heat implements Layer {
  readonly #canvas: HTMLCanvasElement;
  readonly #cores: readonly string[];
  readonly #view: View;
  readonly #rows: () => Rows;
  readonly #palette: () => Palette;
  #drawn = { end: 0, version: -1, width: 0, windowMs: 0, look: -1, isOff: false, rows: undefined as Rows | undefined };
  readonly #mover: Mover;

  constructor(canvas: HTMLCanvasElement, options: { cores: readonly string[]; view: View; rows: () => Rows; palette: () => Palette }) {
    this.#canvas = canvas;
    this.#cores = options.cores;
    this.#view = options.view;
    this.#rows = options.rows;
    this.#palette = options.palette;
    this.#mover = new Mover(options.view, 2 * aheadMs);
  }

  isDue(end: number): boolean {
    const drawn = this.#drawn;
    const rows = this.#rows();
    return (
      drawn.rows !== rows ||
      drawn.isOff !== this.#isOff() ||
      drawn.version !== rows.version ||
      drawn.width !== this.#view.width.get() ||
      drawn.windowMs !== this.#view.windowMs.get() ||
      drawn.look !== this.#view.look.get() ||
      Math.abs(end - drawn.end) > aheadMs * 0.8
    );
  }

  /** One pixel per CSS pixel and core; the browser stretches it to the strip's height. */
  draw(end: number): void {
    const width = this.#view.width.get();
    if (width <= 0 || this.#cores.length === 0) return;
    const windowMs = this.#view.windowMs.get();
    const perPx = windowMs / width;
    const columns = Math.ceil(width + aheadMs / perPx);
    const lines = Math.min(maxRows, this.#cores.length);
    const rows = this.#rows();
    this.#drawn = { end, version: rows.version, width, windowMs, look: this.#view.look.get(), isOff: this.#isOff(), rows };
    this.#canvas.width = columns;
    this.#canvas.height = lines;
    this.#canvas.style.width = `${columns}px`;
    const context = this.#canvas.getContext('2d')!;
    const image = context.createImageData(columns, lines);
    const [red, green, blue] = partsOf(this.#isOff() ? this.#palette().off : this.#palette().series[0]!);
    const start = end - windowMs;
    const rowOfPx = rowsByPixel(rows, columns, start, perPx);
    for (let core = 0; core < this.#cores.length; core += 1) {
      const values = rows.column(this.#cores[core]!);
      if (!values) continue;
      const line = Math.floor((core * lines) / this.#cores.length);
      for (let px = 0; px < columns; px += 1) {
        const row = rowOfPx[px]!;
        if (row < 0) continue;
        const busy = values[row]!;
        if (Number.isNaN(busy)) continue;
        const place = (line * columns + px) * 4;
        // Several cores in one line: the busiest shows.
        const alpha = Math.max(image.data[place + 3]!, Math.round((0.05 + 0.75 * Math.min(1, busy) ** 2) * 255));
        image.data[place] = red;
        image.data[place + 1] = green;
        image.data[place + 2] = blue;
        image.data[place + 3] = alpha;
      }
    }
    context.putImageData(image, 0, 0);
  }

  place(end: number): void {
    this.#mover.place(this.#canvas, this.#drawn.end, end);
  }

  #isOff(): boolean {
    return this.#view.freshness.get() === 'offline';
  }

  close(): void {
    this.#mover.close();
  }
}

/** For each pixel the row that covers it; −1: none. */
function rowsByPixel(rows: Rows, columns: number, start: number, perPx: number): Int32Array {
  const result = new Int32Array(columns).fill(-1);
  let row = Math.max(0, rows.rowFrom(start) - 1);
  for (let px = 0; px < columns; px += 1) {
    const at = start + px * perPx;
    while (row + 1 < rows.length && rows.at[row + 1]! <= at) row += 1;
    const distance = row < rows.length ? at - rows.at[row]! : -1;
    if (distance >= 0 && distance < Math.max(perPx, rows.stepMs || rows.holeMs / 2)) result[px] = row;
  }
  return result;
}
