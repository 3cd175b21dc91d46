/** Tells how long the agent can be without a hub before it has to give samples up. */

import { statfs } from 'node:fs';
import type { Spool } from '../spool.ts';

export interface CliffParts {
  spool: Spool;
  folder: string;
  maxBytes: number;
  maxAgeMs: number;
}

const askEveryMs = 60_000;
/** The pace is a mean over about so long. */
const meanMs = 60_000;
const knownAfterMs = 5_000;
/** Whole minutes, so that it changes seldom. */
const stepMs = 60_000;
/** What the ring in memory holds, where there is no disk. */
const inMemoryMs = 600_000;

export class Cliff {
  readonly #parts: CliffParts;
  #freeBytes = Infinity;
  #askedMs = -Infinity;
  #beganMs: number | undefined;
  #lastMs = 0;
  #lastBytes = 0;
  #bytesPerMs = 0;

  constructor(parts: CliffParts) {
    this.#parts = parts;
  }

  /** To be asked once per sample. `nowMs`: monotonic. */
  leftMs(nowMs: number): number | undefined {
    const { spool, maxBytes, maxAgeMs } = this.#parts;
    this.#askFree(nowMs);
    const added = spool.addedBytes - this.#lastBytes;
    const tookMs = nowMs - this.#lastMs;
    this.#lastMs = nowMs;
    this.#lastBytes = spool.addedBytes;
    if (this.#beganMs === undefined) {
      this.#beganMs = nowMs;
      return undefined;
    }
    const share = Math.min(1, tookMs / Math.min(meanMs, Math.max(tookMs, nowMs - this.#beganMs)));
    if (tookMs > 0) this.#bytesPerMs += (added / tookMs - this.#bytesPerMs) * share;
    if (nowMs - this.#beganMs < knownAfterMs || this.#bytesPerMs <= 0) return undefined;
    const ageLeftMs = maxAgeMs - (spool.ageMs ?? 0);
    const spaceLeftMs = Math.min(maxBytes - spool.bytes, this.#freeBytes) / this.#bytesPerMs;
    const left = spool.trouble === undefined ? Math.min(ageLeftMs, spaceLeftMs) : Math.min(ageLeftMs, inMemoryMs);
    return Math.max(0, Math.floor(left / stepMs) * stepMs);
  }

  #askFree(nowMs: number): void {
    if (nowMs - this.#askedMs < askEveryMs) return;
    this.#askedMs = nowMs;
    statfs(this.#parts.folder, (error, found) => {
      this.#freeBytes = error ? Infinity : found.bavail * found.bsize;
    });
  }
}
