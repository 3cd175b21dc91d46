/** Answers questions by key: from memory for a while, otherwise from a source that is asked for many keys at once. */

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

/** Keys of one load; further ones wait for the next. */
const maxKeys = 1_000;

interface Kept<V> {
  value: V;
  /** `performance.now()`. */
  loadedMs: number;
}

/** Only what exists is remembered: guesses fill no memory, and what is new is found at once. */
export class Lookup<V> {
  readonly #options: LookupOptions<V>;
  readonly #gatherMs: number;
  readonly #kept = new Map<string, Kept<V>>();
  /** Not asked of the source yet. */
  readonly #wanted = new Map<string, PromiseWithResolvers<V | undefined>>();
  /** Being asked, and worth hearing. */
  readonly #asked = new Map<string, Promise<V | undefined>>();
  /** Of each load under way, the keys that were forgotten since it began. */
  readonly #forgotten = new Set<Set<string>>();
  #lastLoadMs = -Infinity;
  #isDue = false;

  constructor(options: LookupOptions<V>) {
    this.#options = options;
    this.#gatherMs = options.gatherMs ?? 10;
  }

  /** Undefined where the source has nothing. */
  get(key: string): Promise<V | undefined> {
    const kept = this.#kept.get(key);
    if (kept && performance.now() - kept.loadedMs < this.#options.keepMs()) {
      this.#options.asked?.('kept');
      return Promise.resolve(kept.value);
    }
    this.#options.asked?.('loaded');
    const waiting = this.#asked.get(key) ?? this.#wanted.get(key)?.promise;
    if (waiting) return waiting;
    const wanted = Promise.withResolvers<V | undefined>();
    this.#wanted.set(key, wanted);
    this.#schedule();
    return wanted.promise;
  }

  /** The answer changed: who asks from now on, or is waiting for an older answer, gets a newer one. */
  forget(key: string): void {
    this.#kept.delete(key);
    this.#asked.delete(key);
    for (const forgotten of this.#forgotten) forgotten.add(key);
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

  /** The first question after a while is asked at the end of the turn, those right behind it together. */
  #schedule(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    const waitMs = this.#lastLoadMs + this.#gatherMs - performance.now();
    if (waitMs > 0) setTimeout(() => void this.#load(), waitMs);
    else setImmediate(() => void this.#load());
  }

  async #load(): Promise<void> {
    this.#isDue = false;
    this.#lastLoadMs = performance.now();
    const batch = [...this.#wanted].slice(0, maxKeys);
    for (const [key, { promise }] of batch) {
      this.#wanted.delete(key);
      this.#asked.set(key, promise);
    }
    if (this.#wanted.size > 0) this.#schedule();
    const forgotten = new Set<string>();
    this.#forgotten.add(forgotten);
    try {
      const found = await this.#options.load(batch.map(([key]) => key));
      for (const [key, { resolve }] of batch) {
        if (forgotten.has(key)) resolve(this.get(key));
        else resolve(this.#keep(key, found.get(key)));
      }
    } catch (error) {
      for (const [, { reject }] of batch) reject(error);
    } finally {
      this.#forgotten.delete(forgotten);
      for (const [key, { promise }] of batch) if (this.#asked.get(key) === promise) this.#asked.delete(key);
    }
  }

  #keep(key: string, value: V | undefined): V | undefined {
    this.#kept.delete(key);
    if (value === undefined || this.#options.maxKept === 0) return value;
    this.#kept.set(key, { value, loadedMs: performance.now() });
    if (this.#kept.size > this.#options.maxKept) this.#kept.delete(this.#kept.keys().next().value!);
    return value;
  }
}
