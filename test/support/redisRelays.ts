/** Relays of several replicas on one Redis, each with connections of its own. */

import { randomUUID } from 'node:crypto';
import { onTestFinished } from 'vitest';
import { parseRedisAddress } from '../../src/lib/redisAddress.ts';
import { RedisRelay, type RedisRelayOptions } from '../../src/relay/redis.ts';
import { RedisLink } from '../../src/relay/redisLink.ts';
import type { RelayRecord } from '../../src/relay/relay.ts';
import { until } from './until.ts';

export interface OpenedRelay {
  relay: RedisRelay;
  link: RedisLink;
  replica: string;
  dropped: Map<string, number>;
  /** How often the subscription was cut and made anew without Redis counting as away. */
  readonly interruptions: number;
}

/** Followed by `two`. */
export const room = 'host:019a0000-0000-7000-8000-000000000001';

/** Replicas of one hub of its own: nothing of other tests is heard. */
export class RedisRelays {
  readonly hub = randomUUID();
  readonly opened: OpenedRelay[] = [];
  /** What the log says of Redis that went away. */
  readonly warnings: string[] = [];
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
      log: {
        info: silent,
        warn: (details) => this.warnings.push((details as { reason: string }).reason),
        error: (details) => console.error(details),
      },
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

/** One that hears. */
export interface Listener extends OpenedRelay {
  got: RelayRecord[];
  /** What was told of Redis, in order. */
  told: ('away' | 'back')[];
}

/** Two replicas that follow `room`, both sure of Redis; they end with the test. */
export async function two(url: string, options: Partial<RedisRelayOptions> = {}): Promise<[Listener, Listener]> {
  const relays = new RedisRelays(url);
  onTestFinished(() => relays.close());
  const open = async (): Promise<Listener> => {
    const got: RelayRecord[] = [];
    const told: Listener['told'] = [];
    const opened = relays.open(options);
    opened.link.onAway(() => told.push('away'));
    opened.link.onBack(() => told.push('back'));
    await opened.relay.start((of, record) => void (of === room && got.push(record)));
    opened.relay.follow(new Set([room]));
    return Object.assign(opened, { got, told });
  };
  const both: [Listener, Listener] = [await open(), await open()];
  await until(() => both.every(({ link }) => !link.isAway));
  await flows(both);
  return both;
}

/** Both hear each other, sooner or later. */
export async function flows([a, b]: readonly [Listener, Listener]): Promise<void> {
  const mark = { data: `{"mark":${Math.random()}}` };
  const has = ({ got }: Listener): boolean => got.some(({ data }) => data === mark.data);
  await until(
    () => {
      if (!has(b)) a.relay.publish(room, mark);
      if (!has(a)) b.relay.publish(room, mark);
      return has(a) && has(b);
    },
    'both replicas hear each other',
    30_000,
  );
}
