/** Opens what makes several replicas one hub: the relay and its notices, through Redis where there is one. */

import type { Config } from './config.ts';
import type { Closers } from './lib/closers.ts';
import { newId } from './lib/id.ts';
import type { Log } from './ops/log.ts';
import type { Metrics } from './ops/metrics.ts';
import { MemoryRelay } from './relay/memory.ts';
import { Notices } from './relay/notices.ts';
import { MemoryPresence } from './relay/presence.ts';
import type { Presence } from './relay/presence.ts';
import { RedisPresence } from './relay/presenceRedis.ts';
import { keptRecords, RecentSamples } from './relay/recentSamples.ts';
import { RedisRelay } from './relay/redis.ts';
import { RedisLink } from './relay/redisLink.ts';
import type { Relay } from './relay/relay.ts';

export interface Replication {
  /** The id of this process among the replicas. */
  replica: string;
  relay: Relay;
  notices: Notices;
  /** Who is in the rooms on the other replicas. */
  presence: Presence;
  /** The newest samples of all hosts; without Redis there is nobody to read them. */
  recent: RecentSamples | undefined;
  /** Absent without REDIS_URL: then this is the only replica. */
  link: RedisLink | undefined;
}

export interface ReplicationOptions {
  config: Config;
  log: Log;
  metrics: Metrics;
  closers: Closers;
  /** The hub's id. */
  hubId: string;
}

/** Never waits for Redis and never fails because of it. Pushes what it opens on `closers`. */
export function openReplication({ config, log, metrics, closers, hubId }: ReplicationOptions): Replication {
  const replica = newId();
  const link =
    config.redis &&
    new RedisLink({
      address: config.redis,
      hub: hubId,
      replica,
      log,
      roundTripSeconds: metrics.relayed,
      interrupted: () => metrics.dropped('relay_subscription'),
    });
  if (link) closers.add('Redis', () => link.close());
  const relay = new Notices({
    relay: link ? new RedisRelay({ link, replica, kept: keptRecords, dropped: metrics.dropped }) : new MemoryRelay(),
    refused: metrics.dropped,
    failed: (error, what) => {
      metrics.error('relay');
      log.error({ err: error, what }, 'a notice of another replica failed');
    },
  });
  closers.add('relay', () => relay.close());
  const presence = link
    ? new RedisPresence({
        link,
        relay,
        replica,
        dropped: metrics.dropped,
        failed: (error, what) => {
          metrics.error('presence');
          log.warn({ err: error, what }, 'presence in Redis failed; only those connected to this replica are seen meanwhile');
        },
      })
    : new MemoryPresence();
  closers.add('presence of rooms', () => presence.close());
  const recent = link && new RecentSamples(link, replica);
  return { replica, relay, notices: relay, presence, recent, link };
}
