/** What Redis keeps of presence: per replica one hash with its rooms, which ends by itself when nobody refreshes it. */

import type { ChainableCommander } from 'ioredis';
import { mending } from './mending.ts';
import type { RedisLink } from './redisLink.ts';

/** The set of replicas lasts longer than any of their hashes; each replica puts itself in again and again. */
const replicasTtlMs = 60_000;
/** Fields in one command. */
const perCommand = 500;

/** A field that no room is named like: without it some of the others may have been lost. */
const complete = '~';

/** What the other replicas told. */
export interface Told {
  /** By replica that lives, of each room asked for, in their order. */
  found: Map<string, (string | null)[]>;
  /** False where Redis has lost what this replica told, and so perhaps what others did. */
  isComplete: boolean;
}

/** All methods reject while Redis is away. */
export class PresenceStore {
  readonly #link: RedisLink;
  readonly #replica: string;
  readonly #ttlMs: number;
  readonly #replicas: string;
  readonly #own: string;

  constructor(link: RedisLink, replica: string, ttlMs: number) {
    this.#link = link;
    this.#replica = replica;
    this.#ttlMs = ttlMs;
    this.#replicas = link.key('presence', 'replicas');
    this.#own = this.#hashOf(replica);
  }

  /** Says that this replica lives; false where Redis does not have all that was written. */
  async refresh(): Promise<boolean> {
    const answers = await this.#run(this.#living(this.#link.commands.pipeline()).hexists(this.#own, complete));
    return answers.at(-1) === 1;
  }

  /** @param entries by room; undefined: nobody is there any more */
  async write(entries: Iterable<readonly [string, string | undefined]>): Promise<void> {
    const pipeline = this.#link.commands.pipeline();
    for (const [room, text] of entries) {
      if (text === undefined) pipeline.hdel(this.#own, room);
      else pipeline.hset(this.#own, room, text);
    }
    await this.#run(this.#living(pipeline));
  }

  /** All rooms of this replica have been written. */
  async markComplete(): Promise<void> {
    await this.#link.commands.hset(this.#own, complete, '1');
  }

  async read(rooms: readonly string[]): Promise<Told> {
    const members = await this.#link.commands.smembers(this.#replicas);
    const others = members.filter((replica) => replica !== this.#replica);
    const found = new Map<string, (string | null)[]>();
    const pipeline = this.#link.commands.pipeline();
    for (const other of others) {
      pipeline.exists(this.#hashOf(other));
      for (let from = 0; from < rooms.length; from += perCommand)
        pipeline.hmget(this.#hashOf(other), ...rooms.slice(from, from + perCommand));
    }
    pipeline.hexists(this.#own, complete);
    const answers = await run(pipeline);
    const perReplica = 1 + Math.ceil(rooms.length / perCommand);
    const dead: string[] = [];
    others.forEach((other, index) => {
      const [exists, ...texts] = answers.slice(index * perReplica, (index + 1) * perReplica);
      if (exists === 1) found.set(other, (texts as (string | null)[][]).flat());
      else dead.push(other);
    });
    // One that lives puts itself in again.
    if (dead.length > 0) await this.#link.commands.srem(this.#replicas, ...dead);
    return { found, isComplete: answers.at(-1) === 1 };
  }

  /** Nobody is here any more. */
  async leave(): Promise<void> {
    await run(this.#link.commands.pipeline().del(this.#own).srem(this.#replicas, this.#replica));
  }

  #run(pipeline: ChainableCommander): Promise<unknown[]> {
    return mending(this.#link, [this.#own, this.#replicas], () => run(pipeline));
  }

  /** Adds what keeps this replica known. */
  #living(pipeline: ChainableCommander): ChainableCommander {
    return pipeline.pexpire(this.#own, this.#ttlMs).sadd(this.#replicas, this.#replica).pexpire(this.#replicas, replicasTtlMs);
  }

  #hashOf(replica: string): string {
    return this.#link.key('presence', replica);
  }
}

/** The answers of all commands; rejects where one failed. */
async function run(pipeline: ChainableCommander): Promise<unknown[]> {
  const answers = (await pipeline.exec()) ?? [];
  return answers.map(([error, answer]) => {
    if (error) throw error;
    return answer;
  });
}
