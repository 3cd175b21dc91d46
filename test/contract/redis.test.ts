/** The Redis relay holds the contract of relays on a single server, with Sentinel, on a Cluster. */

import { afterAll, beforeAll } from 'vitest';
import { needs } from '../support/needs.ts';
import { startCluster, startRedis, startSentinel } from '../support/redis.ts';
import { RedisRelays } from '../support/redisRelays.ts';
import { relayContract } from './relay.ts';

const setups = { standalone: startRedis, Sentinel: startSentinel, Cluster: startCluster };

for (const [name, start] of Object.entries(setups)) {
  needs('redis').describe(name, () => {
    const closers: (() => Promise<void>)[] = [];
    let url = '';
    beforeAll(async () => {
      url = (await start((close) => closers.push(close))).url;
    }, 60_000);
    afterAll(async () => {
      for (const close of closers) await close();
    });
    relayContract(`Redis ${name}`, async () => {
      const relays = new RedisRelays(url);
      return { open: () => relays.open().relay, close: () => relays.close() };
    });
  });
}
