/** Limits how often something may happen per key, in memory. */

import { Bucket } from './bucket.ts';

export interface RateLimit {
  /** Takes one of the key's tries; false when none is left. */
  take(key: string): boolean;
  /** Gives a try back. */
  giveBack(key: string): void;
}

/**
 * Token buckets: `tries` at once, refilled evenly over `perMs`. At most `maxKeys` are remembered; while all of them are in use a
 * new key is refused, because forgetting one would be a way around the limit.
 */
export function createRateLimit(options: { tries: number; perMs: number; maxKeys?: number; now?: () => number }): RateLimit {
  const { tries, perMs, maxKeys = 10_000, now = () => performance.now() } = options;
  const buckets = new Map<string, Bucket>();

  const forgetFull = (): void => {
    for (const [key, bucket] of buckets) if (bucket.isFull(now())) buckets.delete(key);
  };

  return {
    take(key) {
      let bucket = buckets.get(key);
      if (!bucket) {
        if (buckets.size >= maxKeys) forgetFull();
        if (buckets.size >= maxKeys) return false;
        bucket = new Bucket((tries / perMs) * 1000, tries, now());
        buckets.set(key, bucket);
      }
      return bucket.take(1, now());
    },
    giveBack: (key) => buckets.get(key)?.giveBack(),
  };
}
