/** Answers questions by key: from memory for a while, otherwise from a source that is asked for many keys at once. */

import { Gather } from './gather.ts';

export interface LookupOptions<V> {
  /** What the source has of these keys; rejects while it is away. */
  load(keys: readonly string[]): Promise<ReadonlyMap<string, V>>;
  /** How long an answer is believed, asked anew for each question; 0: answers are only gathered. */
  keepMs(): number;
  /** Answers remembered; beyond it the one loaded longest ago is forgotten. */
  maxKept: number;
  /** Questions within so long of the last load are one load. */
  gatherMs?: number;
  /** Told of each question. */
  asked?(result: 'kept' | 'loaded'): void;
}

interface Kept<V> {
  value: V;
  /** `performance.now()`. */
  loadedMs: number;
}

/** Only what exists is remembered: guesses fill no memory, and what is new is found at once. */
export class Lookup<V> {
  readonly #options: LookupOptions<V>;
  readonly #gather: Gather<string, V | undefined>;
  readonly #kept = new Map<string, Kept<V>>();
  /** Being asked, and worth hearing. */
  readonly #asked = new Map<string, Promise<V | undefined>>();

  constructor(options: LookupOptions<V>) {
    this.#options = options;
    const ask = async (keys: readonly string[]): Promise<(V | undefined)[]> => {
      const found = await options.load(keys);
      return keys.map((key) => found.get(key));
    };
    this.#gather = new Gather({ ask, about: (key) => key, gatherMs: options.gatherMs });
  }

  /** Undefined where the source has nothing. */
  get(key: string): Promise<V | undefined> {
    const kept = this.#kept.get(key);
    if (kept && performance.now() - kept.loadedMs < this.#options.keepMs()) {
      this.#options.asked?.('kept');
      return Promise.resolve(kept.value);
    }
    this.#options.asked?.('loaded');
    return this.#asked.get(key) ?? this.#ask(key);
  }

  /** The answer changed: who asks from now on, or is waiting for an older answer, gets a newer one. */
  forget(key: string): void {
    this.#kept.delete(key);
    this.#asked.delete(key);
  }

  /** Forgets those whose answer is so. */
  forgetWhere(isSo: (value: V, key: string) => boolean): void {
    for (const [key, { value }] of this.#kept) if (isSo(value, key)) this.forget(key);
  }

  forgetAll(): void {
    for (const key of [...this.#kept.keys(), ...this.#asked.keys()]) this.forget(key);
  }

  get size(): number {
    return this.#kept.size;
  }

  #ask(key: string): Promise<V | undefined> {
    const isHeard = (): boolean => this.#asked.get(key) === answer && this.#asked.delete(key);
    const answer: Promise<V | undefined> = this.#gather.ask(key).then(
      // Forgotten since it was asked: another answer may be right by now.
      (value) => (isHeard() ? this.#keep(key, value) : this.get(key)),
      (error: unknown) => {
        isHeard();
        throw error;
      },
    );
    this.#asked.set(key, answer);
    return answer;
  }

  #keep(key: string, value: V | undefined): V | undefined {
    this.#kept.delete(key);
    if (value === undefined || this.#options.maxKept === 0) return value;
    this.#kept.set(key, { value, loadedMs: performance.now() });
    if (this.#kept.size > this.#options.maxKept) this.#kept.delete(this.#kept.keys().next().value!);
    return value;
  }
}
