/** Hears channels of Redis over a connection of its own, which follows them again after every loss. */

import { Cluster } from 'ioredis';
import { closeClient, type RedisClient } from './redisClient.ts';

export interface SubscriberOptions {
  open: () => RedisClient;
  heard: (channel: string, text: string) => void;
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
  #again: NodeJS.Timeout | undefined;

  constructor(options: SubscriberOptions) {
    this.#options = options;
    this.#client = this.#connect();
    this.#ping = setInterval(() => this.#sendPing(), pingMs);
  }

  follow(channel: string): void {
    if (this.#channels.has(channel)) return;
    this.#channels.add(channel);
    if (this.#isReady) this.#send('follow', [channel]);
  }

  unfollow(channel: string): void {
    if (this.#channels.delete(channel) && this.#isReady) this.#send('unfollow', [channel]);
  }

  /** Leaves the connection for a new one, whatever it says of itself. */
  renew(): void {
    clearTimeout(this.#again);
    this.#isReady = false;
    const old = this.#client;
    this.#client = this.#connect();
    void closeClient(old);
  }

  async close(): Promise<void> {
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
      if (isCurrent()) this.#isReady = false;
    });
    client.on(client instanceof Cluster ? 'smessage' : 'message', (channel: string, text: string) => {
      if (isCurrent()) this.#options.heard(channel, text);
    });
    return client;
  }

  #send(what: 'follow' | 'unfollow', channels: readonly string[], done?: () => void): void {
    const client = this.#client;
    if (channels.length === 0) return;
    request(client, what, channels).then(
      () => done?.(),
      () => {
        // Half a subscription would be deaf in silence.
        if (client !== this.#client || !this.#isReady) return;
        clearTimeout(this.#again);
        this.#again = setTimeout(() => this.renew(), againMs);
      },
    );
  }

  #sendPing(): void {
    // Nothing depends on the answer: a socket without one ends by its timeout. The nodes of a Cluster are watched by canaries alone.
    if (this.#isReady && !(this.#client instanceof Cluster)) this.#client.ping().catch(() => undefined);
  }
}

async function request(client: RedisClient, what: 'follow' | 'unfollow', channels: readonly string[]): Promise<void> {
  if (!(client instanceof Cluster)) {
    await (what === 'follow' ? client.subscribe(...channels) : client.unsubscribe(...channels));
    return;
  }
  // Channels of different slots cannot share a command.
  await Promise.all(channels.map((channel) => (what === 'follow' ? client.ssubscribe(channel) : client.sunsubscribe(channel))));
}
