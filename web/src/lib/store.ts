/** A value outside React that components can follow. */

import { useSyncExternalStore } from 'react';

export interface Readable<T> {
  get(): T;
  /** Calls back after every change until the returned function is called. */
  follow(changed: () => void): () => void;
}

export class Store<T> implements Readable<T> {
  #value: T;
  readonly #followers = new Set<() => void>();

  constructor(value: T) {
    this.#value = value;
  }

  get = (): T => this.#value;

  set(value: T): void {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    for (const changed of this.#followers) changed();
  }

  update(change: (value: T) => T): void {
    this.set(change(this.#value));
  }

  follow = (changed: () => void): (() => void) => {
    this.#followers.add(changed);
    return () => this.#followers.delete(changed);
  };
}

/** The current value; the component draws again when it changes. */
export const useStore = <T>(store: Readable<T>): T => useSyncExternalStore(store.follow, store.get);
