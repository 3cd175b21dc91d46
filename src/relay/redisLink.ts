/** What this replica has of Redis: a connection for commands, subscriptions, and the knowledge whether it is there. */

import { Cluster } from 'ioredis';
import type { RedisAddress } from '../lib/redisAddress.ts';
import { Canary } from './canary.ts';
import { closeClient, openClient, type RedisClient } from './redisClient.ts';
import { Subscriber } from './subscriber.ts';

export interface RedisLinkOptions {
  address: RedisAddress;
  /** The hub's id: several hubs may share a Redis. */
  hub: string;
  /** The id of this process. */
  replica: string;
  log: { info(details: object, message: string): void; warn(details: object, message: string): void };
  /** The way of a canary through Redis and back to this replica. */
  roundTripSeconds?: (seconds: number) => void;
  /** For tests: how often a canary flies, and after how long without one Redis counts as away. */
  canary?: { everyMs: number; silentMs: number };
}

/**
 * Opening never waits and never fails: while Redis is away the link is `isAway`, commands reject at once, and connecting goes on.
 * Whether it is away is what canaries through its pub/sub say, not the state of a socket.
 */
export class RedisLink {
  /** For everyone's commands. They reject within 2 s and are never queued while Redis is away. */
  readonly commands: RedisClient;
  readonly isCluster: boolean;
  /** What all keys and channels of this hub begin with: `<prefix>:<rest>`. */
  readonly prefix: string;
  readonly #options: RedisLinkOptions;
  readonly #canary: Canary;
  readonly #subscriber: Subscriber;
  readonly #away = new Set<() => void>();
  readonly #back = new Set<() => void>();
  #lastError = 'nothing comes back';

  constructor(options: RedisLinkOptions) {
    this.#options = options;
    this.isCluster = options.address.kind === 'cluster';
    // The end of a UUIDv7 is random.
    this.prefix = `hostroom:${options.hub.slice(-12)}`;
    this.commands = this.#open('commands');
    this.#canary = new Canary({
      send: (text) => this.publish(this.#canaryChannel, text),
      changed: (away) => this.#changed(away),
      deaf: () => this.#subscriber.renew(),
      seconds: options.roundTripSeconds,
      ...options.canary,
    });
    this.#subscriber = this.subscriber(
      (_, text) => this.#canary.arrived(text),
      () => this.#canary.fly(),
    );
    this.#subscriber.follow(this.#canaryChannel);
  }

  /** True until the first canary has come back. */
  get isAway(): boolean {
    return this.#canary.isAway;
  }

  /** Runs each time Redis goes away, also when it is not there at the start. */
  onAway(handler: () => void): void {
    this.#away.add(handler);
  }

  /** Runs each time Redis is back, the first time included: what was told meanwhile is lost. */
  onBack(handler: () => void): void {
    this.#back.add(handler);
  }

  /** A key of this hub. On a Cluster, keys with the same `tag` live on one node, so one command may use them together. */
  key(tag: string, what: string): string {
    return `${this.prefix}:{${tag}}:${what}`;
  }

  /** Rejects while Redis is away. Give messages of one channel to one call at a time: their order is kept. */
  publish(channel: string, text: string): Promise<unknown> {
    return this.commands instanceof Cluster ? this.commands.spublish(channel, text) : this.commands.publish(channel, text);
  }

  /** Further channels over a connection of their own; closed by whoever asked. */
  subscriber(heard: (channel: string, text: string) => void, followed?: () => void): Subscriber {
    return new Subscriber({ open: () => this.#open('subscriber'), heard, followed });
  }

  async close(): Promise<void> {
    this.#canary.close();
    await this.#subscriber.close();
    await closeClient(this.commands);
  }

  get #canaryChannel(): string {
    return this.key(this.#options.replica, 'canary');
  }

  #changed(away: boolean): void {
    const { log } = this.#options;
    if (away) log.warn({ reason: this.#lastError }, 'Redis is away; other replicas are seen through PostgreSQL until it is back');
    else log.info({}, 'Redis is there');
    for (const handler of away ? this.#away : this.#back) handler();
  }

  #open(use: 'commands' | 'subscriber'): RedisClient {
    const client = openClient(this.#options.address, use);
    // Each attempt of a lost connection fails with an error: what matters is the last one when the canary is missed.
    const failed = (error: Error): void => void (this.#lastError = error.message);
    client.on('error', failed);
    client.on('node error', failed);
    return client;
  }
}
