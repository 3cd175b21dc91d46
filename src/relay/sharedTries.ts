/** Limits over all replicas how often something may be tried: counts in Redis that fade evenly with time. */

import { createHash } from 'node:crypto';
import { mending } from './mending.ts';
import type { RedisLink } from './redisLink.ts';

/**
 * Adds to a count that fades, unless it would go over its most. Answers with whether it was added, and the count before.
 * KEYS: the count. ARGV: what fades per ms, what to add, the most.
 */
const addScript = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('HMGET', KEYS[1], 'count', 'at')
local before = math.max(0, (tonumber(known[1]) or 0) - math.max(0, now - (tonumber(known[2]) or now)) * ARGV[1])
if before + ARGV[2] > tonumber(ARGV[3]) then return {0, tostring(before)} end
local count = math.max(0, before + ARGV[2])
redis.call('HSET', KEYS[1], 'count', tostring(count), 'at', now)
redis.call('PEXPIRE', KEYS[1], math.ceil(count / ARGV[1]) + 1000)
return {1, tostring(before)}`;

export interface FadingCount {
  /** Part of the key in Redis. */
  name: string;
  /** What fades within `perMs`. */
  tries: number;
  perMs: number;
}

export interface Added {
  isAdded: boolean;
  before: number;
}

export interface SharedTriesOptions {
  link: Pick<RedisLink, 'commands' | 'isAway' | 'key'>;
  failed: (error: unknown, what: string) => void;
}

export class SharedTries {
  readonly #options: SharedTriesOptions;

  constructor(options: SharedTriesOptions) {
    this.#options = options;
  }

  /**
   * Adds `by` to the count of `key`, unless it would be over `most`. Undefined while Redis is away: the caller's own limit holds then.
   * Redis sees a hash of the key, which may be an e-mail address. Never rejects.
   */
  async add({ name, tries, perMs }: FadingCount, key: string, by: number, most: number): Promise<Added | undefined> {
    const { link, failed } = this.#options;
    if (link.isAway) return undefined;
    const tag = createHash('sha256').update(key).digest('base64url').slice(0, 22);
    try {
      const count = link.key(tag, name);
      const answer = await mending(link, [count], () => link.commands.eval(addScript, 1, count, tries / perMs, by, most));
      const [isAdded, before] = answer as [unknown, unknown];
      return { isAdded: isAdded === 1, before: Number(before) };
    } catch (error) {
      if (!link.isAway) failed(error, 'counting tries over all replicas');
      return undefined;
    }
  }
}
