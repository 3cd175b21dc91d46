/** The newest publications of every host in Redis: a cache that spares a replica which knows nothing of a host the way to PostgreSQL. */

import type { RedisLink } from './redisLink.ts';

/** Publications per host, at most: what a recovery may have. */
export const maxRecent = 300;
/** A recovery has no more bytes either, so that more would only fill Redis. */
const maxHostBytes = 256 * 1024;
/** A host that is silent for so long is forgotten. */
const expireS = 600;
/** A list is cut back, and its expiry set, after so many additions or so long: both cost as much as an addition. */
const trimEvery = 30;
const trimEveryMs = 60_000;
/** What is published within so long is written together. */
const gatherMs = 20;
/** Characters that wait for Redis, at most; beyond, the newest are not kept. */
const maxWaiting = 8 * 1024 * 1024;
/** Characters written at once where a list is filled anew. */
const fillChars = 1024 * 1024;
/** Hosts whose additions are counted; beyond, counting begins anew. */
const maxCounted = 20_000;

export interface RecentSamplesOptions {
  link: Pick<RedisLink, 'commands' | 'isAway' | 'isCluster' | 'key'>;
  /** So many publications found no place. */
  dropped: (count: number) => void;
  /** Told of the first batch of those that fail one after the other. */
  failed: (error: unknown, what: string) => void;
}

/** Texts are JSON in one line, as the host's room carries them. Redis may lose all of it at any time: PostgreSQL has it too. */
export class RecentSamples {
  readonly #options: RecentSamplesOptions;
  #waiting: { host: string; text: string }[] = [];
  #waitingChars = 0;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #isFailing = false;
  readonly #since = new Map<string, { added: number; trimmedMs: number }>();

  constructor(options: RecentSamplesOptions) {
    this.#options = options;
  }

  /** Keeps what a host published just now, in the order of the calls. While Redis is away it is not kept: `fill` does that afterwards. */
  add(host: string, text: string): void {
    if (this.#options.link.isAway) return;
    if (this.#waitingChars + text.length > maxWaiting) return this.#options.dropped(1);
    this.#waiting.push({ host, text });
    this.#waitingChars += text.length;
    this.#gather();
  }

  /** The newest `count` of a host, oldest first, as somebody wrote them: to be checked. Rejects while Redis is away. */
  read(host: string, count: number): Promise<string[]> {
    return this.#options.link.commands.lrange(this.#key(host), -count, -1);
  }

  /** Puts `texts`, ascending, in the place of what Redis has of the host. Rejects while Redis is away. */
  async fill(host: string, texts: readonly string[]): Promise<void> {
    const key = this.#key(host);
    const newest = texts.slice(-keep(texts.at(-1)?.length ?? 0));
    const { commands } = this.#options.link;
    await commands.del(key);
    for (let from = 0; from < newest.length;) {
      let until = from;
      for (let chars = 0; until < newest.length && chars < fillChars; until++) chars += newest[until]!.length;
      // oxlint-disable-next-line no-await-in-loop -- one bounded write after the other, in this order
      await commands.rpush(key, ...newest.slice(from, until));
      from = until;
    }
    await commands.expire(key, expireS);
  }

  /** Forgets a host that was deleted. */
  forget(host: string): void {
    this.#since.delete(host);
    this.#waiting = this.#waiting.filter((one) => one.host !== host);
    if (this.#options.link.isAway) return;
    this.#options.link.commands.del(this.#key(host)).catch((error: unknown) => this.#options.failed(error, 'forgetting recent samples'));
  }

  /** Writes what waits. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#writing;
    if (this.#waiting.length > 0 && !this.#options.link.isAway) await this.#write();
  }

  #gather(): void {
    if (this.#timer || this.#writing) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      // One batch at a time: a slow Redis must not be handed more and more.
      this.#writing = this.#write().finally(() => {
        this.#writing = undefined;
        if (this.#waiting.length > 0) this.#gather();
      });
    }, gatherMs);
  }

  async #write(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingChars = 0;
    const { link, failed } = this.#options;
    // A Cluster takes in one go only what lives on one node.
    const groups = link.isCluster ? Map.groupBy(waiting, ({ host }) => tagOf(host)).values() : [waiting];
    const batches = Array.from(groups, async (group) => {
      const batch = link.commands.pipeline();
      for (const { host, text } of group) {
        const key = this.#key(host);
        batch.rpush(key, text);
        if (this.#isTrimDue(host)) batch.ltrim(key, -keep(text.length), -1).expire(key, expireS);
      }
      const answers = await batch.exec();
      const error = answers?.find(([fault]) => fault)?.[0];
      if (error) throw error;
    });
    const outcome = (await Promise.allSettled(batches)).find((one) => one.status === 'rejected');
    const wasFailing = this.#isFailing;
    this.#isFailing = outcome !== undefined;
    if (!outcome || link.isAway) return;
    this.#options.dropped(waiting.length);
    if (!wasFailing) failed(outcome.reason, 'keeping recent samples');
  }

  #isTrimDue(host: string): boolean {
    const now = performance.now();
    const since = this.#since.get(host);
    if (since && ++since.added < trimEvery && now - since.trimmedMs < trimEveryMs) return false;
    if (this.#since.size > maxCounted) this.#since.clear();
    this.#since.set(host, { added: 0, trimmedMs: now });
    return true;
  }

  #key(host: string): string {
    return this.#options.link.key(tagOf(host), `recent:${host}`);
  }
}

/** Sixteen groups, so that the hosts spread over the nodes of a Cluster. */
const tagOf = (host: string): string => `recent-${host.at(-1)}`;

/** How many publications of about this length a list holds. */
const keep = (length: number): number => Math.max(1, Math.min(maxRecent, Math.floor(maxHostBytes / Math.max(1, length))));
