/** A long window as buckets of min, average and max: the past from the hub, the newest made here from samples. */

import type { Series } from '../../../src/protocol/restHistory.ts';
import { firstFrom, nearestTo, type Rows } from './rows.ts';
import { maxMetrics, type SampleStore } from './samples.ts';

interface Column {
  average: Float32Array;
  low: Float32Array;
  high: Float32Array;
  /** Samples in the bucket that have the metric; 0 where the hub made it. */
  count: Uint16Array;
}

/** More buckets than any chart has pixels; the oldest go first. */
const capacity = 4_096;

export class Buckets implements Rows {
  readonly at = new Float64Array(capacity);
  readonly #columns = new Map<string, Column>();
  readonly #samples: SampleStore;
  readonly #followers = new Set<() => void>();
  readonly #stop: () => void;
  #series: Series = { tier: 'raw', step: 1_000, at: [], series: {} };
  /** From here on buckets are made of samples; a multiple of the step. */
  #edge = 0;
  #length = 0;
  #version = 0;
  /** The newest sample that is in a bucket. */
  #foldedTo = -Infinity;
  #merges = 0;

  constructor(samples: SampleStore) {
    this.#samples = samples;
    this.#stop = samples.follow(() => this.#fold());
  }

  get length(): number {
    return this.#length;
  }

  get version(): number {
    return this.#version;
  }

  get stepMs(): number {
    return this.#series.step;
  }

  /** Samples come a little unevenly, so one empty second is no hole yet. */
  get holeMs(): number {
    return Math.max(2_600, this.stepMs * 1.5);
  }

  close(): void {
    this.#stop();
  }

  names(): string[] {
    return [...this.#columns.keys()];
  }

  column(name: string): Float32Array | undefined {
    return this.#columns.get(name)?.average;
  }

  extremes(name: string): { low: Float32Array; high: Float32Array } | undefined {
    return this.#columns.get(name);
  }

  rowFrom(at: number): number {
    return firstFrom(this.at, this.#length, at);
  }

  rowNear(at: number, withinMs: number): number {
    // A bucket stands for all of its time, not for its beginning.
    return nearestTo(this.at, this.#length, at - this.stepMs / 2, Math.max(withinMs, this.stepMs));
  }

  follow(changed: () => void): () => void {
    this.#followers.add(changed);
    return () => this.#followers.delete(changed);
  }

  /** Takes the past anew. @param edge the end of what the hub was asked for, a multiple of its step */
  set(series: Series, edge: number): void {
    this.#series = series;
    this.#edge = edge;
    this.#rebuild();
    this.#tell();
  }

  #fold(): void {
    if (this.#samples.merges !== this.#merges) this.#rebuild();
    else this.#addSamples();
    this.#tell();
  }

  #tell(): void {
    this.#version += 1;
    for (const changed of this.#followers) changed();
  }

  #rebuild(): void {
    this.#length = 0;
    this.#foldedTo = -Infinity;
    this.#merges = this.#samples.merges;
    for (const { average, low, high, count } of this.#columns.values()) {
      for (const values of [average, low, high]) values.fill(NaN);
      count.fill(0);
    }
    const { at, series } = this.#series;
    const all = Object.entries(series);
    for (let row = 0; row < at.length; row += 1) {
      if (at[row]! >= this.#edge || all.every(([, { avg }]) => avg[row] === null)) continue;
      const place = this.#open(at[row]!);
      for (const [name, { min, avg, max }] of all) {
        const column = this.#columnOf(name);
        if (!column || avg[row] === null) continue;
        column.average[place] = avg[row]!;
        column.low[place] = min[row]!;
        column.high[place] = max[row]!;
      }
    }
    this.#addSamples();
  }

  #addSamples(): void {
    const samples = this.#samples;
    const all = samples.names().map((name) => [name, samples.column(name)!] as const);
    const from = samples.rowFrom(Math.max(this.#edge, this.#foldedTo + 1));
    for (let row = from; row < samples.length; row += 1) {
      const start = Math.floor(samples.at[row]! / this.stepMs) * this.stepMs;
      const place = this.#length > 0 && this.at[this.#length - 1] === start ? this.#length - 1 : this.#open(start);
      for (const [name, values] of all) {
        const value = values[row]!;
        if (!Number.isNaN(value)) this.#addTo(name, place, value);
      }
      this.#foldedTo = samples.at[row]!;
    }
  }

  #addTo(name: string, place: number, value: number): void {
    const column = this.#columnOf(name);
    if (!column) return;
    const count = (column.count[place]! += 1);
    column.average[place] = count === 1 ? value : column.average[place]! + (value - column.average[place]!) / count;
    column.low[place] = count === 1 ? value : Math.min(column.low[place]!, value);
    column.high[place] = count === 1 ? value : Math.max(column.high[place]!, value);
  }

  /** A new row at the end. */
  #open(start: number): number {
    if (this.#length === capacity) this.#dropOldest();
    this.at[this.#length] = start;
    return this.#length++;
  }

  #dropOldest(): void {
    const kept = capacity / 2;
    this.at.copyWithin(0, capacity - kept);
    for (const { average, low, high, count } of this.#columns.values()) {
      for (const values of [average, low, high]) values.copyWithin(0, capacity - kept).fill(NaN, kept);
      count.copyWithin(0, capacity - kept).fill(0, kept);
    }
    this.#length = kept;
  }

  #columnOf(name: string): Column | undefined {
    let column = this.#columns.get(name);
    if (!column && this.#columns.size < maxMetrics) {
      const empty = (): Float32Array => new Float32Array(capacity).fill(NaN);
      column = { average: empty(), low: empty(), high: empty(), count: new Uint16Array(capacity) };
      this.#columns.set(name, column);
    }
    return column;
  }
}
