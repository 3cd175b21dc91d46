/** What all replicas together may move: a budget per second, and nobody twice within ten minutes. */

import { mending } from './mending.ts';
import type { RedisLink } from './redisLink.ts';

/** A connection that might be asked to move. */
export interface MoveCandidate {
  /** Whose it is, the same on every connection of theirs. */
  key: string;
  /** How long it is open. */
  openMs: number;
}

/** Nobody is moved twice within this time … */
const onceMs = 600_000;
/** … as far as this many are remembered; beyond it the oldest are forgotten. */
const maxRemembered = 200_000;

/*
 * One script, so that replicas that ask at once share the budget. Time is Redis's own: it only ever measures durations here. A key keeps
 * the time of its first move. Connections that were open before it were not moved themselves, so within the time they may be; one that
 * was opened later may be the very one that was moved, so it stays until twice the time is over.
 * KEYS: bucket, moved. ARGV: per second, once in ms, remembered, wanted, then key and open ms of each candidate.
 */
const script = `
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local rate, once, most, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local bucket = redis.call('HMGET', KEYS[1], 'level', 'at')
local level = math.min(rate, (tonumber(bucket[1]) or rate) + math.max(0, now - (tonumber(bucket[2]) or now)) / 1000 * rate)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - 2 * once)
local granted = {}
for i = 5, #ARGV, 2 do
  if level < 1 or #granted >= wanted then break end
  local first = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[i]))
  if not first or (now - tonumber(ARGV[i + 1]) < first and now < first + once) then
    if not first then redis.call('ZADD', KEYS[2], now, ARGV[i]) end
    level = level - 1
    granted[#granted + 1] = (i - 5) / 2
  end
end
redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -1 - most)
redis.call('HSET', KEYS[1], 'level', tostring(level), 'at', now)
redis.call('PEXPIRE', KEYS[1], 60000)
redis.call('PEXPIRE', KEYS[2], 2 * once)
return granted`;

export class Moves {
  readonly #link: Pick<RedisLink, 'commands' | 'key'>;

  constructor(link: Pick<RedisLink, 'commands' | 'key'>) {
    this.#link = link;
  }

  /**
   * Those of the candidates that may be moved now, in their order, at most `wanted`. Rejects while Redis is away.
   * @param perSecond of the whole fleet
   */
  async take<T extends MoveCandidate>(candidates: readonly T[], wanted: number, perSecond: number): Promise<T[]> {
    if (candidates.length === 0 || wanted < 1) return [];
    const keys = [this.#link.key('moves', 'bucket'), this.#link.key('moves', 'moved')] as const;
    const pairs = candidates.flatMap(({ key, openMs }) => [key, Math.round(openMs)]);
    const granted: unknown = await mending(this.#link, keys, () =>
      this.#link.commands.eval(script, 2, ...keys, perSecond, onceMs, maxRemembered, wanted, ...pairs),
    );
    if (!Array.isArray(granted)) return [];
    return granted.map((at) => candidates[at as number]).filter((candidate) => candidate !== undefined);
  }
}
