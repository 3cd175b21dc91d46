/** The samples of one host as sorted typed-array columns outside React. */

import type { Sample } from '../../../src/protocol/kinds.ts';
import { firstFrom, nearestTo, type Rows } from './rows.ts';

/** The longest live window with room for a late start: 62 min at 1 Hz. */
const keptRows = 3_720;
/** Rows are appended until here, then the oldest go in one move. */
const capacity = keptRows + 600;
/** More names than this are not kept; a host with all collectors has about 200. */
export const maxMetrics = 1_024;

export class SampleStore implements Rows {
  readonly holeMs = 2_600;
  readonly stepMs = 0;
  readonly at = new Float64Array(capacity);
  readonly #columns = new Map<string, Float32Array>();
  #length = 0;
  #latest: Sample | null = null;
  /** Counts every change, so that a chart knows whether to draw. */
  #version = 0;
  #droppedMetrics = 0;
  #merges = 0;
  readonly #followers = new Set<() => void>();

  get length(): number {
    return this.#length;
  }

  get version(): number {
    return this.#version;
  }

  /** Counts how often samples came between or before known ones. */
  get merges(): number {
    return this.#merges;
  }

  get latest(): Sample | null {
    return this.#latest;
  }

  /** Names that were not kept because there were too many. */
  get droppedMetrics(): number {
    return this.#droppedMetrics;
  }

  names(): string[] {
    return [...this.#columns.keys()];
  }

  column(name: string): Float32Array | undefined {
    return this.#columns.get(name);
  }

  extremes(): undefined {
    return undefined;
  }

  follow(changed: () => void): () => void {
    this.#followers.add(changed);
    return () => this.#followers.delete(changed);
  }

  /** Takes samples in any order; one whose time is known already is a repetition and ignored. */
  add(samples: readonly Sample[]): void {
    const fresh = this.#unknown(samples);
    if (fresh.length === 0) return;
    const newest = fresh.at(-1)!;
    if (this.#length === 0 || fresh[0]!.at > this.at[this.#length - 1]!) for (const sample of fresh) this.#append(sample);
    else this.#merge(fresh);
    if (!this.#latest || newest.at > this.#latest.at) this.#latest = newest;
    this.#version += 1;
    for (const changed of this.#followers) changed();
  }

  rowFrom(at: number): number {
    return firstFrom(this.at, this.#length, at);
  }

  rowNear(at: number, withinMs: number): number {
    return nearestTo(this.at, this.#length, at, withinMs);
  }

  #unknown(samples: readonly Sample[]): Sample[] {
    const seen = new Set<number>();
    const fresh = samples.filter((sample) => {
      if (seen.has(sample.at)) return false;
      seen.add(sample.at);
      const row = this.rowFrom(sample.at);
      return row >= this.#length || this.at[row] !== sample.at;
    });
    return fresh.sort((a, b) => a.at - b.at);
  }

  #append(sample: Sample): void {
    if (this.#length === capacity) this.#dropOldest();
    this.#write(this.#length, sample);
    this.#length += 1;
  }

  #dropOldest(): void {
    const from = this.#length - keptRows;
    this.at.copyWithin(0, from, this.#length);
    for (const column of this.#columns.values()) {
      column.copyWithin(0, from, this.#length);
      column.fill(NaN, keptRows);
    }
    this.#length = keptRows;
  }

  #write(row: number, sample: Sample): void {
    this.at[row] = sample.at;
    for (const name in sample.metrics) {
      let column = this.#columns.get(name);
      if (!column) {
        if (this.#columns.size >= maxMetrics) {
          this.#droppedMetrics += 1;
          continue;
        }
        column = new Float32Array(capacity).fill(NaN);
        this.#columns.set(name, column);
      }
      column[row] = sample.metrics[name]!;
    }
  }

  /** Weaves older samples in: from the back, moving each old row to its new place once. */
  #merge(fresh: Sample[]): void {
    this.#merges += 1;
    const kept = Math.min(keptRows, this.#length + fresh.length);
    let old = this.#length - 1;
    let added = fresh.length - 1;
    // Which of both lists gives each row, newest first; a negative number is 1 + the index in `fresh`, negated.
    const sources = new Int32Array(kept);
    for (let row = kept - 1; row >= 0; row -= 1) {
      if (added < 0 || (old >= 0 && this.at[old]! > fresh[added]!.at)) sources[row] = old--;
      else sources[row] = -1 - added--;
    }
    const columns = [this.at, ...this.#columns.values()];
    for (const column of columns) {
      const before = column.slice(0, this.#length);
      column.fill(NaN, 0, this.#length);
      for (let row = 0; row < kept; row += 1) if (sources[row]! >= 0) column[row] = before[sources[row]!]!;
    }
    this.#length = kept;
    for (let row = 0; row < kept; row += 1) if (sources[row]! < 0) this.#write(row, fresh[-1 - sources[row]!]!);
  }
}
