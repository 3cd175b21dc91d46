/** Restores the order of one room's publications on this replica; pure, its timing and reading are the hub's. */

import type { Position } from '../protocol/commands.ts';

/** What to do with a publication: `held` waits for missing ones; `turned` means a new epoch began with it. */
export type Verdict = 'deliver' | 'duplicate' | 'held' | 'overflow' | 'turned';

/** Publications held while others are missing, at most: what a busy room gets while a slow stream is asked for the first of them. */
export const maxHeld = 1_000;
/** Past epochs remembered, so that their stragglers are known for what they are. */
const maxPast = 4;

/** The next offset is always `offset + 1`; offsets count from 1 within an epoch. */
export class Order<Entry> {
  /** False until the first publication or `know`: any offset is accepted then. */
  known = false;
  epoch = '';
  offset = 0;
  readonly #held = new Map<number, Entry>();
  #past: Map<string, number> | undefined;

  /** Sets the position, unless there is one. */
  know(position: Position): void {
    if (this.known || position.epoch === '') return;
    this.known = true;
    this.epoch = position.epoch;
    this.offset = position.offset;
  }

  /** Whether more was heard here than a source knows that names `top` as the newest. */
  isAheadOf(top: Position): boolean {
    if (!this.known) return false;
    return top.epoch === this.epoch ? top.offset < this.offset : top.epoch === '' || this.#past?.has(top.epoch) === true;
  }

  /** Takes the next arrival. After `deliver`, `release` gives those that waited for it. `overflow`: too many held, call `skip`. */
  take(epoch: string, offset: number, entry: Entry): Verdict {
    if (!this.known) {
      this.known = true;
      this.epoch = epoch;
      this.offset = offset;
      return 'deliver';
    }
    if (epoch !== this.epoch) return this.#turn(epoch, offset);
    if (offset <= this.offset || this.#held.has(offset)) return 'duplicate';
    if (offset === this.offset + 1) {
      this.offset = offset;
      return 'deliver';
    }
    this.#held.set(offset, entry);
    return this.#held.size > maxHeld ? 'overflow' : 'held';
  }

  /** The held entries that now follow without a hole, in order; the position moves with them. */
  release(): Entry[] {
    const ready: Entry[] = [];
    if (this.#held.size === 0) return ready;
    for (let entry = this.#held.get(this.offset + 1); entry !== undefined; entry = this.#held.get(this.offset + 1)) {
      this.offset++;
      this.#held.delete(this.offset);
      ready.push(entry);
    }
    return ready;
  }

  /** How many wait for others. */
  get held(): number {
    return this.#held.size;
  }

  /** The range that is missing: everything after `since` up to `until`, of which some may be held. */
  get hole(): { since: number; until: number } | undefined {
    if (this.#held.size === 0) return undefined;
    let until = 0;
    for (const offset of this.#held.keys()) if (offset > until) until = offset;
    return { since: this.offset, until };
  }

  /** Fills holes with what the stream has; returns all that can now be delivered, in order. */
  fill(entries: Iterable<{ offset: number; entry: Entry }>): Entry[] {
    for (const { offset, entry } of entries) if (offset > this.offset && !this.#held.has(offset)) this.#held.set(offset, entry);
    return this.release();
  }

  /** Gives up on the hole: the position jumps to the newest held entry and nothing is delivered. */
  skip(): void {
    this.offset = this.hole?.until ?? this.offset;
    this.#held.clear();
  }

  #turn(epoch: string, offset: number): Verdict {
    const last = this.#past?.get(epoch);
    if (last !== undefined && offset <= last) return 'duplicate';
    this.#past ??= new Map();
    this.#past.delete(epoch);
    this.#past.set(this.epoch, this.hole?.until ?? this.offset);
    if (this.#past.size > maxPast) for (const oldest of this.#past.keys()) if (this.#past.delete(oldest)) break;
    this.#held.clear();
    this.epoch = epoch;
    this.offset = offset;
    return 'turned';
  }
}
