/** Opens connections to Redis: one code path for a single server, Sentinel, Cluster. */

import { Cluster, Redis } from 'ioredis';
import type { RedisOptions } from 'ioredis';
import type { RedisAddress } from '../lib/redisAddress.ts';

export type RedisClient = Redis | Cluster;

/** So long a stopping hub waits for a connection to end. */
const closeMs = 1_000;

/** Connects in the background, again and again until closed; commands meanwhile reject at once. */
export function openClient(address: RedisAddress, use: 'commands' | 'subscriber'): RedisClient {
  const tls = address.tls ? {} : undefined;
  const common: RedisOptions = {
    username: address.username,
    password: address.password,
    tls,
    connectionName: `hostroom-${use}`,
    connectTimeout: 3_000,
    commandTimeout: 2_000,
    // A frozen server keeps its connections up for ever.
    socketTimeout: 5_000,
    maxRetriesPerRequest: 1,
    enableOfflineQueue: false,
    // Its owner follows again, and lost commands are found by positions or sent anew.
    autoResubscribe: false,
    autoResendUnfulfilledCommands: false,
    // A master that became a replica: connecting again finds the new one.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  };
  if (address.kind === 'cluster') {
    return new Cluster([...address.nodes], {
      redisOptions: common,
      enableOfflineQueue: false,
      // A certificate names hosts, not their addresses.
      ...(tls && { dnsLookup: (host, done) => done(null, host) }),
      shardedSubscribers: use === 'subscriber',
      // A subscriber that lost all nodes is made anew: its channels would be doubled.
      clusterRetryStrategy: use === 'commands' ? retryMs : null,
      slotsRefreshTimeout: 2_000,
      slotsRefreshInterval: 5_000,
      // Together longer than a command may take, so its own timeout ends it.
      maxRedirections: 16,
      retryDelayOnFailover: 150,
    });
  }
  const options: RedisOptions = { ...common, db: address.db, retryStrategy: retryMs };
  if (address.kind === 'standalone') return inStep(new Redis({ ...options, ...address.nodes[0] }));
  const client = new Redis({
    ...options,
    sentinels: [...address.nodes],
    name: address.master,
    role: 'master',
    failoverDetector: true,
    sentinelCommandTimeout: 2_000,
    sentinelRetryStrategy: retryMs,
    sentinelUsername: address.sentinelUsername,
    sentinelPassword: address.sentinelPassword,
    sentinelTLS: tls,
    enableTLSForSentinelMode: address.tls,
  });
  return inStep(client);
}

/** An answer that nobody waits for means that later ones may be taken for those of other commands: only a new connection is sure again. */
function inStep(client: Redis): Redis {
  return client.on('error', (error: Error) => {
    if (error.message.startsWith('Command queue state error')) client.disconnect(true);
  });
}

/** Ends a connection for good; resolves when it has ended, or a second later. */
export async function closeClient(client: RedisClient): Promise<void> {
  if (client.status === 'end') return;
  // Between two attempts there is nothing that could end.
  if (client.status === 'reconnecting') return client.disconnect();
  await new Promise<void>((resolve) => {
    const late = setTimeout(resolve, closeMs);
    client.once('end', () => {
      clearTimeout(late);
      resolve();
    });
    client.disconnect();
  });
}

/** Doubles from 100 ms to 2 s, spread so that replicas do not come back in step. */
const retryMs = (times: number): number => 50 + Math.random() * (Math.min(2_000, 100 * 2 ** Math.min(times, 10)) - 50);
