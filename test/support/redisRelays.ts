/** Relays of several replicas on one Redis, each with connections of its own. */

import { randomUUID } from 'node:crypto';
import { parseRedisAddress } from '../../src/lib/redisAddress.ts';
import { RedisRelay, type RedisRelayOptions } from '../../src/relay/redis.ts';
import { RedisLink } from '../../src/relay/redisLink.ts';

export interface OpenedRelay {
  relay: RedisRelay;
  link: RedisLink;
  replica: string;
  dropped: Map<string, number>;
  /** How often the subscription was cut and made anew without Redis counting as away. */
  readonly interruptions: number;
}

/** Replicas of one hub of its own: nothing of other tests is heard. */
export class RedisRelays {
  readonly hub = randomUUID();
  readonly opened: OpenedRelay[] = [];
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  open(options: Partial<RedisRelayOptions> = {}): OpenedRelay {
    const address = parseRedisAddress(this.#url);
    if (!address) throw new Error(`not a REDIS_URL: ${this.#url}`);
    const replica = randomUUID();
    const silent = (): void => undefined;
    let interruptions = 0;
    const link = new RedisLink({
      address,
      hub: this.hub,
      replica,
      log: { info: silent, warn: silent, error: (details) => console.error(details) },
      interrupted: () => interruptions++,
      canary: { everyMs: 100, silentMs: 1_000 },
    });
    const dropped = new Map<string, number>();
    const relay = new RedisRelay({
      link,
      replica,
      dropped: (what, count) => dropped.set(what, (dropped.get(what) ?? 0) + count),
      lingerMs: 100,
      ...options,
    });
    const one = {
      relay,
      link,
      replica,
      dropped,
      get interruptions() {
        return interruptions;
      },
    };
    this.opened.push(one);
    return one;
  }

  async close(): Promise<void> {
    for (const { relay } of this.opened) await relay.close();
    await Promise.all(this.opened.map(({ link }) => link.close()));
  }
}
