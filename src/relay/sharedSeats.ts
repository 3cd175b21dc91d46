/** Counts the connections of people and addresses over all replicas, in Redis. */

import { mending } from './mending.ts';
import type { RedisLink } from './redisLink.ts';

export interface SharedSeatsOptions {
  link: RedisLink;
  /** The id of this process. */
  replica: string;
  failed: (error: unknown, what: string) => void;
  times?: Partial<typeof defaultTimes>;
}

const defaultTimes = {
  /** The seats of a replica that said nothing for so long are free. */
  ttlMs: 15_000,
  refreshMs: 5_000,
  /** Nobody waits longer for an answer. */
  answerMs: 300,
};
/** Fields in one command. */
const perCommand = 500;

/**
 * Takes a seat of each sort unless that is one too many. KEYS: the hash of this replica, those of the others.
 * ARGV: ms until the own hash ends; then field and most seats of each sort.
 */
const takeScript = `
for i = 2, #ARGV, 2 do
  local taken = 1
  for k = 1, #KEYS do taken = taken + (tonumber(redis.call('HGET', KEYS[k], ARGV[i])) or 0) end
  if taken > tonumber(ARGV[i + 1]) then return 0 end
end
for i = 2, #ARGV, 2 do redis.call('HINCRBY', KEYS[1], ARGV[i], 1) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1`;

/** Gives seats back. KEYS: the hash of this replica. ARGV: the fields. */
const leaveScript = `
for i = 1, #ARGV do
  if redis.call('HINCRBY', KEYS[1], ARGV[i], -1) <= 0 then redis.call('HDEL', KEYS[1], ARGV[i]) end
end
return 1`;

export interface Seat {
  /** Whose it is, such as a person. */
  key: string;
  most: number;
}

/** While Redis is away or slow everyone gets a seat: then each replica limits by what it knows itself. */
export class SharedSeats {
  readonly #options: SharedSeatsOptions;
  readonly #times: typeof defaultTimes;
  readonly #own = new Map<string, number>();
  #others: string[] = [];
  /** What Redis has of this replica may be wrong. */
  #isDirty = true;
  #isFailing = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: SharedSeatsOptions) {
    this.#options = options;
    this.#times = { ...defaultTimes, ...options.times };
  }

  start(): void {
    const { link } = this.#options;
    link.onBack(() => {
      this.#isDirty = true;
      void this.refresh();
    });
    this.#timer = setInterval(() => void this.refresh(), this.#times.refreshMs).unref();
    void this.refresh();
  }

  /** False where one of the seats would be one too many over all replicas; then none is taken. Never rejects. */
  async take(seats: readonly Seat[]): Promise<boolean> {
    const { link } = this.#options;
    for (const { key } of seats) this.#add(key, 1);
    if (link.isAway) {
      this.#isDirty = true;
      return true;
    }
    const keys = [this.#hashOf(this.#options.replica), ...this.#others.map((other) => this.#hashOf(other))];
    const asked = seats.flatMap(({ key, most }) => [key, most]);
    const answer = await this.#ask(link.commands.eval(takeScript, keys.length, ...keys, this.#times.ttlMs, ...asked));
    if (answer !== 0) return true;
    for (const { key } of seats) this.#add(key, -1);
    // It may have been written as taken meanwhile.
    this.#isDirty = true;
    return false;
  }

  /** Never waits, never throws. */
  leave(keys: readonly string[]): void {
    const { link, replica } = this.#options;
    for (const key of keys) this.#add(key, -1);
    if (link.isAway) this.#isDirty = true;
    else void this.#ask(link.commands.eval(leaveScript, 1, this.#hashOf(replica), ...keys));
  }

  /** Says that this replica lives, mends what Redis has of it, and learns which others there are. Never rejects. */
  async refresh(): Promise<void> {
    const { link, replica } = this.#options;
    if (link.isAway) return;
    try {
      const { ttlMs } = this.#times;
      const [seconds] = await link.commands.time();
      const nowMs = Number(seconds) * 1_000;
      await mending(link, [this.#replicas], () => link.commands.zadd(this.#replicas, nowMs, replica));
      await link.commands.zremrangebyscore(this.#replicas, 0, nowMs - 2 * ttlMs);
      this.#others = (await link.commands.zrange(this.#replicas, '0', '-1')).filter((other) => other !== replica);
      const isKnown = (await link.commands.pexpire(this.#hashOf(replica), ttlMs)) === 1;
      if (this.#isDirty || (!isKnown && this.#own.size > 0)) await this.#rewrite();
      this.#isFailing = false;
    } catch (error) {
      this.#isDirty = true;
      this.#fail(error);
    }
  }

  /** Frees all seats of this replica. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    const { link, replica } = this.#options;
    if (link.isAway) return;
    await this.#ask(link.commands.del(this.#hashOf(replica)));
    await this.#ask(link.commands.zrem(this.#replicas, replica));
  }

  async #rewrite(): Promise<void> {
    const { link, replica } = this.#options;
    const hash = this.#hashOf(replica);
    this.#isDirty = false;
    // One after the other on one connection: what is taken from here on counts on top.
    const steps: Promise<unknown>[] = [link.commands.del(hash)];
    const all = [...this.#own].flat().map(String);
    for (let from = 0; from < all.length; from += 2 * perCommand)
      steps.push(link.commands.hset(hash, ...all.slice(from, from + 2 * perCommand)));
    steps.push(link.commands.pexpire(hash, this.#times.ttlMs));
    await Promise.all(steps);
  }

  /** Tells the first failure of those that follow each other: everyone who connects would be one. */
  #fail(error: unknown): void {
    const { link, failed } = this.#options;
    if (!link.isAway && !this.#isFailing) failed(error, 'counting connections over all replicas');
    this.#isFailing = true;
  }

  #add(key: string, by: 1 | -1): void {
    const next = (this.#own.get(key) ?? 0) + by;
    if (next > 0) this.#own.set(key, next);
    else this.#own.delete(key);
  }

  /** The answer; undefined where there is none in time. What became of the question is not known then. */
  async #ask(answer: Promise<unknown>): Promise<unknown> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => late.reject(new Error('Redis is slow')), this.#times.answerMs);
    try {
      return await Promise.race([answer, late.promise]);
    } catch (error) {
      this.#isDirty = true;
      this.#fail(error);
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  }

  get #replicas(): string {
    return this.#options.link.key('seats', 'replicas');
  }

  #hashOf(replica: string): string {
    return this.#options.link.key('seats', replica);
  }
}
