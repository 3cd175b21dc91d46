/** Limits how often something may be tried per key, over all replicas where they share a Redis. */

import { createRateLimit } from '../lib/rateLimit.ts';
import type { FadingCount, SharedTries } from '../relay/sharedTries.ts';

export interface Tries {
  /** Takes one of the key's tries; false when none is left. */
  take(key: string): Promise<boolean>;
  /** Gives a try back. */
  giveBack(key: string): void;
}

/** Each replica keeps the limit for itself as well, which is all there is while Redis is away. */
export function createTries(count: FadingCount, { shared, now }: { shared?: Pick<SharedTries, 'add'>; now?: () => number } = {}): Tries {
  const here = createRateLimit({ tries: count.tries, perMs: count.perMs, now });
  return {
    take: async (key) => here.take(key) && ((await shared?.add(count, key, 1, count.tries))?.isAdded ?? true),
    giveBack(key) {
      here.giveBack(key);
      void shared?.add(count, key, -1, count.tries);
    },
  };
}
