/** What this replica has of Redis: a connection for commands, subscriptions, and the knowledge whether it is there. */

import { Cluster } from 'ioredis';
import type { RedisAddress } from '../lib/redisAddress.ts';
import { Canary } from './canary.ts';
import { closeClient, openClient, type RedisClient } from './redisClient.ts';
import { explainFault, type RedisFault } from './redisFault.ts';
import { Subscriber } from './subscriber.ts';

export interface RedisLinkOptions {
  address: RedisAddress;
  /** The hub's id: several hubs may share a Redis. */
  hub: string;
  /** The id of this process. */
  replica: string;
  log: Record<'info' | 'warn' | 'error', (details: object, message: string) => void>;
  /** The way of a canary through Redis and back to this replica. */
  roundTripSeconds?: (seconds: number) => void;
  /** The subscription was cut and made anew, so quickly that Redis does not count as away. */
  interrupted?: () => void;
  /** For tests: how often a canary flies, and after how long without one Redis counts as away. */
  canary?: { everyMs: number; silentMs: number };
}

/** On a Cluster, rooms are spread over so many groups, each on the node of its slot. */
const clusterGroups = 16;
/** A script, as the relay's records go by one: a Redis that loads its data refuses those, and lets PUBLISH pass. */
const canaryScript = `return redis.call(ARGV[1], KEYS[1], ARGV[2])`;
const noFault: RedisFault = { text: 'nothing comes back', isSetting: false };

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
  /** By channel: one for each group of rooms. */
  readonly #canaries = new Map<string, Canary>();
  readonly #subscriber: Subscriber;
  readonly #awayHandlers: (() => void)[] = [];
  readonly #lateHandlers: (() => void)[] = [];
  readonly #backHandlers: (() => void)[] = [];
  #heard: (channel: string, text: string) => void = () => undefined;
  #state: 'unknown' | 'there' | 'away' = 'unknown';
  #fault: RedisFault = noFault;
  /** The subscription was lost since Redis was found to be there. */
  #isCut = false;

  constructor(options: RedisLinkOptions) {
    this.#options = options;
    this.isCluster = options.address.kind === 'cluster';
    // The end of a UUIDv7 is random.
    this.prefix = `hostroom:${options.hub.slice(-12)}`;
    this.commands = this.#open('commands');
    this.#subscriber = new Subscriber({
      open: () => this.#open('subscriber'),
      heard: (channel, text) => this.#arrived(channel, text),
      lost: () => (this.#isCut = true),
      followed: () => this.#followed(),
    });
    for (let group = 0; group < (this.isCluster ? clusterGroups : 1); group++) this.#addCanary(group);
  }

  /** True until every canary has come back once. */
  get isAway(): boolean {
    return this.#state !== 'there';
  }

  /** Runs each time Redis goes away, also when it is not there at the start. */
  onAway(handler: () => void): void {
    this.#awayHandlers.push(handler);
  }

  /** Runs again and again while something seems to hold up what goes through Redis, before it counts as away. */
  onLate(handler: () => void): void {
    this.#lateHandlers.push(handler);
  }

  /** Runs each time Redis is back, the first time included, and after each cut of the subscription: what was told meanwhile is lost. */
  onBack(handler: () => void): void {
    this.#backHandlers.push(handler);
  }

  /** A key of this hub. On a Cluster, keys with the same `tag` live on one node, so one command may use them together. */
  key(tag: string, what: string): string {
    return `${this.prefix}:{${tag}}:${what}`;
  }

  /** The group of a room: rooms of one group may share a command. */
  group(room: string): number {
    if (!this.isCluster) return 0;
    let hash = 0;
    for (let at = 0; at < room.length; at++) hash = (Math.imul(hash, 31) + room.charCodeAt(at)) >>> 0;
    return hash % clusterGroups;
  }

  /** What carries a room. */
  channel(room: string): string {
    return this.key(`r${this.group(room)}`, room);
  }

  /** Where the newest records of a room are kept. */
  keptKey(room: string): string {
    return this.key(`r${this.group(room)}`, `kept:${room}`);
  }

  /** For the relay: takes what arrives in the channels it follows. */
  hear(heard: (channel: string, text: string) => void): void {
    this.#heard = heard;
  }

  follow(channels: readonly string[]): void {
    this.#subscriber.follow(channels);
  }

  unfollow(channels: readonly string[]): void {
    this.#subscriber.unfollow(channels);
  }

  async close(): Promise<void> {
    for (const canary of this.#canaries.values()) canary.close();
    await this.#subscriber.close();
    await closeClient(this.commands);
  }

  #addCanary(group: number): void {
    const channel = this.key(`r${group}`, `canary:${this.#options.replica}`);
    const canary = new Canary({
      send: (text) => this.#publish(channel, text),
      changed: () => this.#look(),
      late: () => this.#tell(this.#lateHandlers),
      deaf: () => this.#subscriber.renew(),
      mute: (error) => this.#renewCommands(error),
      seconds: this.#options.roundTripSeconds,
      ...this.#options.canary,
    });
    this.#canaries.set(channel, canary);
    this.#subscriber.follow([channel]);
  }

  /**
   * A connection on which only nonsense comes back is kept alive by it. Where Redis answers with an error, a new one would not help; the
   * connections to nodes of a Cluster are its client's to look after.
   */
  #renewCommands(error: unknown): void {
    if (!isAnswer(error) && !(this.commands instanceof Cluster) && this.commands.status === 'ready') this.commands.disconnect(true);
  }

  async #publish(channel: string, text: string): Promise<void> {
    try {
      await this.commands.eval(canaryScript, 1, channel, this.isCluster ? 'spublish' : 'publish', text);
    } catch (error) {
      // Of the state of the connection its own errors tell more.
      if (isAnswer(error)) this.#failed(error);
      throw error;
    }
  }

  #arrived(channel: string, text: string): void {
    const canary = this.#canaries.get(channel);
    if (canary) canary.arrived(text);
    else this.#heard(channel, text);
  }

  #followed(): void {
    for (const canary of this.#canaries.values()) canary.fly();
    // Else the canaries tell it, or have told it already.
    if (this.isAway || !this.#isCut) return;
    this.#isCut = false;
    this.#options.interrupted?.();
    this.#tell(this.#backHandlers);
  }

  /** Away is who misses one of its canaries; there, who has seen all of them. */
  #look(): void {
    const states = [...this.#canaries.values()].map(({ state }) => state);
    const state = states.includes('away') ? 'away' : states.includes('unknown') ? 'unknown' : 'there';
    if (state === this.#state || state === 'unknown') return;
    this.#state = state;
    const { log } = this.#options;
    if (state === 'away') {
      log.warn({ reason: this.#fault.text }, 'Redis is away; other replicas are seen through PostgreSQL until it is back');
    } else {
      log.info({}, 'Redis is there');
      this.#fault = noFault;
    }
    this.#isCut = false;
    this.#tell(state === 'away' ? this.#awayHandlers : this.#backHandlers);
  }

  #tell(handlers: readonly (() => void)[]): void {
    for (const handler of handlers) {
      try {
        handler();
      } catch (error) {
        this.#options.log.error({ err: error }, 'what follows from the state of Redis failed');
      }
    }
  }

  #open(use: 'commands' | 'subscriber'): RedisClient {
    const client = openClient(this.#options.address, use);
    client.on('error', (error: Error) => this.#failed(error));
    client.on('node error', (error: Error) => this.#failed(error));
    return client;
  }

  /** Each attempt fails with an error or two: what is told when the canary is missed is the last one that says what to do, or the last. */
  #failed(error: Error): void {
    const fault = explainFault(error);
    if (fault.isSetting || !this.#fault.isSetting) this.#fault = fault;
  }
}

/** Whether Redis itself answered so. */
const isAnswer = (error: unknown): error is Error => error instanceof Error && error.name === 'ReplyError';
