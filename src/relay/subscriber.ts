/** Hears channels of Redis over a connection of its own, which follows them again after every loss. */

import { Cluster } from 'ioredis';
import { closeClient, type RedisClient } from './redisClient.ts';

export interface SubscriberOptions {
  open: () => RedisClient;
  heard: (channel: string, text: string) => void;
  /** The connection that followed them is lost, or a part of it. */
  lost?: () => void;
  /** All channels are followed, for the first time or again; nothing tells what was missed between. */
  followed?: () => void;
}

/** An idle subscriber never sends, and only what was sent arms the timeout of its socket. */
const pingMs = 5_000;
const againMs = 300;

export class Subscriber {
  readonly #options: SubscriberOptions;
  readonly #channels = new Set<string>();
  readonly #ping: NodeJS.Timeout;
  #client: RedisClient;
  #isReady = false;
  #isClosed = false;
  #again: NodeJS.Timeout | undefined;

  constructor(options: SubscriberOptions) {
    this.#options = options;
    this.#client = this.#connect();
    this.#ping = setInterval(() => this.#sendPing(), pingMs);
  }

  follow(channels: readonly string[]): void {
    const fresh = channels.filter((channel) => !this.#channels.has(channel));
    for (const channel of fresh) this.#channels.add(channel);
    if (this.#isReady) this.#send('follow', fresh);
  }

  unfollow(channels: readonly string[]): void {
    const known = channels.filter((channel) => this.#channels.delete(channel));
    if (this.#isReady) this.#send('unfollow', known);
  }

  /** Leaves the connection for a new one, whatever it says of itself. */
  renew(): void {
    clearTimeout(this.#again);
    this.#lose();
    const old = this.#client;
    this.#client = this.#connect();
    void closeClient(old);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#ping);
    clearTimeout(this.#again);
    this.#channels.clear();
    this.#isReady = false;
    await closeClient(this.#client);
  }

  #connect(): RedisClient {
    const client = this.#options.open();
    const isCurrent = (): boolean => client === this.#client;
    client.on('ready', () => {
      if (!isCurrent()) return;
      this.#isReady = true;
      this.#send('follow', [...this.#channels], this.#options.followed);
    });
    client.on('close', () => {
      if (isCurrent()) this.#lose();
    });
    client.on('end', () => {
      if (isCurrent()) this.#renewLater();
    });
    // A node of a Cluster was lost, and its channels are followed elsewhere.
    client.on('subscribersReady', () => {
      if (!isCurrent() || !this.#isReady) return;
      this.#options.lost?.();
      this.#options.followed?.();
    });
    client.on(client instanceof Cluster ? 'smessage' : 'message', (channel: string, text: string) => {
      if (isCurrent()) this.#options.heard(channel, text);
    });
    return client;
  }

  #lose(): void {
    if (this.#isReady) this.#options.lost?.();
    this.#isReady = false;
  }

  #send(what: 'follow' | 'unfollow', channels: readonly string[], taken?: () => void): void {
    const client = this.#client;
    if (channels.length === 0) return;
    request(client, what, channels).then(
      () => taken?.(),
      () => {
        // Half a subscription would be deaf in silence.
        if (client === this.#client && this.#isReady) this.#renewLater();
      },
    );
  }

  #renewLater(): void {
    clearTimeout(this.#again);
    if (!this.#isClosed) this.#again = setTimeout(() => this.renew(), againMs * (0.5 + Math.random()));
  }

  #sendPing(): void {
    // Nothing depends on the answer: a socket without one ends by its timeout. The nodes of a Cluster are watched by canaries alone.
    if (this.#isReady && !(this.#client instanceof Cluster)) this.#client.ping().catch(() => undefined);
  }
}

/** Channels that share a hash tag share a command; without a Cluster all may. */
async function request(client: RedisClient, what: 'follow' | 'unfollow', channels: readonly string[]): Promise<void> {
  if (!(client instanceof Cluster)) {
    await inParts(channels, (part) => (what === 'follow' ? client.subscribe(...part) : client.unsubscribe(...part)));
    return;
  }
  const groups = Map.groupBy(channels, (channel) => channel.slice(0, channel.indexOf('}')));
  const each = [...groups.values()].map((group) =>
    inParts(group, (part) => (what === 'follow' ? client.ssubscribe(...part) : client.sunsubscribe(...part))),
  );
  await Promise.all(each);
}

/** A command of many thousand names would hold up everything behind it. */
async function inParts(channels: readonly string[], ask: (part: string[]) => Promise<unknown>): Promise<void> {
  const parts: Promise<unknown>[] = [];
  for (let from = 0; from < channels.length; from += 500) parts.push(ask(channels.slice(from, from + 500)));
  await Promise.all(parts);
}
