/** The newest publications of every host in Redis: a cache that spares a replica which knows nothing of a host the way to PostgreSQL. */

import { hostRoom } from '../protocol/rooms.ts';
import { dataOf, encodeRecord } from './record.ts';
import type { RedisLink } from './redisLink.ts';
import type { RelayRecord } from './relay.ts';

/** Publications per host, at most: what a recovery may have. */
const maxRecent = 300;
/** A recovery has no more bytes either, so that more would only fill Redis. */
const maxHostBytes = 256 * 1024;
/** As the relay has it for lists that it keeps. */
const expireS = 600;

/** How many records of a room the relay keeps in Redis while it publishes one: those of agents, about as many as a recovery may have. */
export function keptRecords(room: string, { data, offset }: RelayRecord): number {
  if (offset === undefined || !room.startsWith('host:')) return 0;
  return Math.max(1, Math.min(maxRecent, Math.floor(maxHostBytes / data.length)));
}

/** Redis may lose all of it at any time: PostgreSQL has it too. */
export class RecentSamples {
  readonly #link: Pick<RedisLink, 'commands' | 'keptKey'>;
  readonly #replica: string;

  constructor(link: Pick<RedisLink, 'commands' | 'keptKey'>, replica: string) {
    this.#link = link;
    this.#replica = replica;
  }

  /** The newest `count` of a host, in the order of their arrival, as anyone may have written them: to be checked. Rejects while Redis is away. */
  async read(host: string, count: number): Promise<string[]> {
    const lines = await this.#link.commands.lrange(this.#keyOf(host), -count, -1);
    return lines.flatMap((line) => dataOf(line) ?? []);
  }

  /** Puts records, ascending, in the place of what Redis has of the host. Rejects while Redis is away. */
  async fill(host: string, records: readonly RelayRecord[]): Promise<void> {
    const newest = records.at(-1);
    if (!newest) return;
    const key = this.#keyOf(host);
    const lines = records.slice(-keptRecords(hostRoom(host), newest)).map((record) => encodeRecord(this.#replica, record));
    const answers = await this.#link.commands
      .pipeline()
      .del(key)
      .rpush(key, ...lines)
      .expire(key, expireS)
      .exec();
    const fault = answers?.find(([error]) => error)?.[0];
    if (fault) throw fault;
  }

  /** Forgets a host that was deleted. Rejects while Redis is away: then its expiry does. */
  async forget(host: string): Promise<void> {
    await this.#link.commands.del(this.#keyOf(host));
  }

  #keyOf(host: string): string {
    return this.#link.keptKey(hostRoom(host));
  }
}
