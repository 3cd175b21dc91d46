/** Several protocol layers behind one port, joined by Redis: a client suite must not notice. */

import { setTimeout as wait } from 'node:timers/promises';
import type { Gateway } from '../gateway/gateway.ts';
import type { Hub } from '../hub/hub.ts';
import { newId } from '../lib/id.ts';
import type { RedisAddress } from '../lib/redisAddress.ts';
import { RedisPresence } from '../relay/presenceRedis.ts';
import { RedisRelay } from '../relay/redis.ts';
import { RedisLink } from '../relay/redisLink.ts';
import { SharedSeats } from '../relay/sharedSeats.ts';
import type { MemoryStreams } from '../streams/memory.ts';
import { startRoundRobin } from './roundRobin.ts';
import { makeStreams, startConformance, type ConformanceOptions, type ConformanceServer, type ConformanceStreams } from './server.ts';

export interface ReplicatedOptions extends Omit<ConformanceOptions, 'shared'> {
  replicas: number;
  redis: RedisAddress;
}

/** As of one server what is asked of all together. */
export interface ReplicatedServer extends Pick<ConformanceServer, 'url' | 'webSocketUrl' | 'streams' | 'close'> {
  hub: Pick<Hub, 'publish' | 'deliver' | 'clients' | 'subscriptions' | 'connections'>;
  gateway: Pick<Gateway, 'connections' | 'close'>;
}

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };
const longestConnectMs = 10_000;
/** What was published while a replica began to follow a room is found so soon; hostroom itself, which asks PostgreSQL, takes its time. */
const compareMs = 200;

/**
 * Each connection goes to the next replica. They hear each other through Redis alone; what they share in memory is where positions come
 * from, which for hostroom itself is PostgreSQL and the agents, never Redis. Rejects where Redis does not answer.
 */
export async function startConformanceReplicas({ replicas: count, redis, ...options }: ReplicatedOptions): Promise<ReplicatedServer> {
  const { host = '127.0.0.1', port } = options;
  const streams = makeStreams(options);
  const hub = newId();
  const replicas: Replica[] = [];
  const closers: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const step of closers.splice(0)) {
      // oxlint-disable-next-line no-await-in-loop -- the door last, so that everyone is told through it
      await step();
    }
  };
  try {
    for (let i = 0; i < count; i++) {
      // oxlint-disable-next-line no-await-in-loop -- each is closed again should the next fail
      const replica = await startReplica({ hub, redis, streams, options });
      replicas.push(replica);
      closers.push(replica.close);
    }
    // Once all are known to Redis they learn of each other.
    await Promise.all(replicas.map(({ seats }) => seats.refresh()));
    const ports = replicas.map(({ server }) => Number(new URL(server.url).port));
    const door = await startRoundRobin(host, port, ports);
    closers.push(() => door.close());
    return { ...together(replicas.map(({ server }) => server)), ...addressOf(host, door.port), close };
  } catch (error) {
    await close();
    throw error;
  }
}

interface Replica {
  server: ConformanceServer;
  seats: SharedSeats;
  close: () => Promise<void>;
}

async function startReplica(parts: {
  hub: string;
  redis: RedisAddress;
  streams: ConformanceStreams;
  options: ConformanceOptions;
}): Promise<Replica> {
  const replica = newId();
  const canary = { everyMs: 100, silentMs: 3_000 };
  const link = new RedisLink({ address: parts.redis, hub: parts.hub, replica, log: silent, canary });
  const relay = new RedisRelay({ link, replica });
  const presence = new RedisPresence({ link, relay, replica, dropped: () => undefined, failed: () => undefined });
  const seats = new SharedSeats({ link, replica, failed: () => undefined });
  seats.start();
  const server = await startConformance({
    ...parts.options,
    port: 0,
    host: '127.0.0.1',
    gateway: { ...parts.options.gateway, elsewhere: seats },
    shared: { relay, presence, streams: parts.streams },
  });
  const comparing = setInterval(() => void compare(server.hub, parts.streams.usual), compareMs);
  const close = async (): Promise<void> => {
    clearInterval(comparing);
    await server.close();
    await seats.close();
    await link.close();
  };
  const deadline = performance.now() + longestConnectMs;
  // oxlint-disable-next-line no-await-in-loop -- it is looked at until it is there
  while (link.isAway && performance.now() < deadline) await wait(10);
  if (!link.isAway) return { server, seats, close };
  await close();
  throw new Error('Redis does not answer at REDIS_URL');
}

/** Delivers what no record brought. */
async function compare(hub: Hub, streams: MemoryStreams): Promise<void> {
  for (const { name, position } of hub.followed()) {
    if (!position) continue;
    // oxlint-disable-next-line no-await-in-loop -- it is in memory
    const { top, entries } = await streams.read(name, { since: position.offset, epoch: position.epoch, limit: 300 });
    for (const entry of entries) hub.deliver(name, { ...entry, epoch: top.epoch });
  }
}

function together(servers: readonly ConformanceServer[]): Pick<ReplicatedServer, 'hub' | 'gateway' | 'streams'> {
  const [first] = servers as [ConformanceServer];
  const sum = (count: (server: ConformanceServer) => number): number => servers.reduce((total, server) => total + count(server), 0);
  const hub: ReplicatedServer['hub'] = {
    publish: (room, record) => first.hub.publish(room, record),
    deliver: (room, record) => servers.forEach((server) => server.hub.deliver(room, record)),
    clients: () => servers.flatMap((server) => [...server.hub.clients()]).values(),
    get subscriptions() {
      return sum((server) => server.hub.subscriptions);
    },
    get connections(): Hub['connections'] {
      return { agent: sum((server) => server.hub.connections.agent), user: sum((server) => server.hub.connections.user) };
    },
  };
  const gateway: ReplicatedServer['gateway'] = {
    get connections() {
      return sum((server) => server.gateway.connections);
    },
    close: async (...times) => void (await Promise.all(servers.map((server) => server.gateway.close(...times)))),
  };
  return { hub, gateway, streams: first.streams };
}

const addressOf = (host: string, port: number): Pick<ReplicatedServer, 'url' | 'webSocketUrl'> => ({
  url: `http://${host}:${port}`,
  webSocketUrl: `ws://${host}:${port}/connection/websocket`,
});
