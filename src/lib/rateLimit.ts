/** Limits how often something may happen per key, in memory. */

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
  const buckets = new Map<string, { left: number; at: number }>();

  const current = (bucket: { left: number; at: number }): number => Math.min(tries, bucket.left + ((now() - bucket.at) / perMs) * tries);
  const forgetFull = (): void => {
    for (const [key, bucket] of buckets) if (current(bucket) >= tries) buckets.delete(key);
  };

  return {
    take(key) {
      const bucket = buckets.get(key);
      if (!bucket && buckets.size >= maxKeys) {
        forgetFull();
        if (buckets.size >= maxKeys) return false;
      }
      const left = bucket ? current(bucket) : tries;
      if (left < 1) return false;
      buckets.set(key, { left: left - 1, at: now() });
      return true;
    },
    giveBack(key) {
      const bucket = buckets.get(key);
      if (bucket) buckets.set(key, { left: Math.min(tries, current(bucket) + 1), at: now() });
    },
  };
}
