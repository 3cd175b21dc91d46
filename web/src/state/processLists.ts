/** The process lists of a host: what came while the page was open; older ones when someone points at their time. */

import type { Processes } from '../../../src/protocol/kinds.ts';
import { Store } from '../lib/store.ts';

/** An hour at one list per ten seconds. */
const keptLive = 360;
const keptMinutes = 30;
const minuteMs = 60_000;
/** A pointer that moves on asks for nothing. */
const restMs = 150;

export class ProcessLists {
  /** Ascending by time. */
  readonly all = new Store<readonly Processes[]>([]);
  readonly #read: (from: number, to: number) => Promise<Processes[]>;
  readonly #past = new Map<number, readonly Processes[]>();
  #live: readonly Processes[] = [];
  /** The minute pointed at whose lists are missing. */
  #wanted: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param read asks the hub for the lists with from ≤ at < to */
  constructor(read: (from: number, to: number) => Promise<Processes[]>) {
    this.#read = read;
  }

  add(list: Processes): void {
    this.#live = [...this.#live.filter((one) => one.at !== list.at), list].sort((a, b) => a.at - b.at).slice(-keptLive);
    this.#show();
  }

  /** Someone points at this time; null: at none. Under a resting pointer time moves on, so the same minute is waited for only once. */
  want(at: number | null): void {
    const minute = at === null || processesAt(this.all.get(), at) ? undefined : Math.floor(at / minuteMs);
    if (minute === this.#wanted) return;
    clearTimeout(this.#timer);
    this.#wanted = minute;
    if (minute !== undefined && !this.#past.has(minute)) this.#timer = setTimeout(() => void this.#fetch(minute), restMs);
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  /** With the minute before, whose last list is shown at the beginning of this one. */
  async #fetch(minute: number): Promise<void> {
    this.#past.set(minute, []);
    if (this.#past.size > keptMinutes) this.#past.delete(this.#past.keys().next().value!);
    try {
      this.#past.set(minute, await this.#read((minute - 1) * minuteMs, (minute + 1) * minuteMs));
      this.#show();
    } catch (error) {
      console.warn('The process lists of this time could not be read.', error);
      this.#past.delete(minute);
      this.#wanted = undefined;
    }
  }

  #show(): void {
    const byTime = new Map([...this.#past.values()].flat().map((list) => [list.at, list]));
    for (const list of this.#live) byTime.set(list.at, list);
    this.all.set([...byTime.values()].sort((a, b) => a.at - b.at));
  }
}

/** The newest list at or before `at`, not older than a minute; null: the newest of all. */
export function processesAt(lists: readonly Processes[], at: number | null): Processes | undefined {
  if (at === null) return lists.at(-1);
  const found = lists.findLast((list) => list.at <= at + 1_000);
  return found && at - found.at <= minuteMs ? found : undefined;
}
