/** The hub without its database: the real gateway, access tokens, permissions, checks and positions of samples. */

import Fastify from 'fastify';
import { receiveRelayed } from '../../../src/actions/receiveRelayed.ts';
import { mayInRoom } from '../../../src/auth/permissions.ts';
import type { Sql } from '../../../src/db/database.ts';
import { Gateway } from '../../../src/gateway/gateway.ts';
import type { Policy } from '../../../src/gateway/policy.ts';
import { Hub } from '../../../src/hub/hub.ts';
import { Closing, Refusal } from '../../../src/hub/refusal.ts';
import { checkAgentPublication } from '../../../src/protocol/checks.ts';
import { newId } from '../../../src/lib/id.ts';
import { parseRedisAddress } from '../../../src/lib/redisAddress.ts';
import { closes, errors } from '../../../src/protocol/codes.ts';
import { parseRoom } from '../../../src/protocol/rooms.ts';
import { MemoryRelay } from '../../../src/relay/memory.ts';
import { keptRecords } from '../../../src/relay/recentSamples.ts';
import { RedisRelay } from '../../../src/relay/redis.ts';
import { RedisLink } from '../../../src/relay/redisLink.ts';
import type { Relay } from '../../../src/relay/relay.ts';
import { SampleStream } from '../../../src/streams/samples.ts';
import { benchTokens, boot, hostOf, roomBase, roomCount } from './hostroomRooms.ts';

const tokens = benchTokens();
const hub = new Hub({ relay: openRelay(process.argv[3]) });
const stream = new SampleStream({ sql: undefined as unknown as Sql });
// Every host has been heard of, up to the number before the load generator's first, so that nothing is asked of a database.
const heard = { kind: 'sample', at: 1, seq: 999_999_999, boot, metrics: {} } as const;
for (let number = roomBase; number < roomBase + roomCount; number++) stream.add(hostOf(number), heard, JSON.stringify(heard));

function enter(channel: string): Awaited<ReturnType<Policy['subscribe']>> {
  const room = parseRoom(channel);
  if (room?.sort !== 'host' || !mayInRoom('read', 'host', { role: 'viewer' })) throw new Refusal(errors.permissionDenied);
  return { stream, joinLeave: true, presence: true, skippable: true, data: () => stream.latest(room.id) };
}

const policy: Policy = {
  connect: async ({ token }) => {
    const claims = await tokens.verify(token ?? '');
    if (typeof claims === 'string') throw new Closing(closes.invalidToken);
    return {
      identity: {
        user: claims.person,
        kind: 'user',
        info: { kind: 'user', name: 'Reader' },
        session: claims.session,
        expiresAt: claims.expiresAt,
        maxFrameBytes: 65_536,
      },
    };
  },
  connected: () => undefined,
  disconnected: () => undefined,
  refresh: () => Promise.reject(new Refusal(errors.notAvailable)),
  subscribe: (_client, { channel }) => Promise.resolve(enter(channel)),
  subRefresh: () => Promise.reject(new Refusal(errors.notAvailable)),
  publish: (_client, { channel, data }) => {
    const { ok: publication, fault } = checkAgentPublication(data);
    if (publication === undefined) throw new Refusal(errors.badRequest, fault);
    const text = JSON.stringify(data);
    stream.add(parseRoom(channel)?.id ?? '', publication, text);
    hub.publish(channel, { data: text, offset: publication.seq, epoch: publication.boot });
    // As the hub answers its agents: later, and without holding up the next command.
    return { later: Promise.resolve() };
  },
  read: (_client, channel) => Promise.resolve(enter(channel)),
  rpc: () => Promise.reject(new Refusal(errors.notAvailable)),
};

/** As the product opens it: with the port of a Redis, for one of several replicas. */
function openRelay(redisPort: string | undefined): Relay {
  if (redisPort === undefined) return new MemoryRelay();
  const address = parseRedisAddress(`redis://127.0.0.1:${redisPort}`)!;
  const replica = newId();
  const log = { info: () => undefined, warn: console.error, error: console.error };
  return new RedisRelay({ link: new RedisLink({ address, hub: boot, replica, log }), replica, kept: keptRecords, dropped: console.error });
}

const arrived = receiveRelayed({
  hub,
  samples: stream,
  conversations: { epoch: '', add: () => undefined },
  dropped: () => console.error('a record was dropped'),
});
await hub.start(arrived);
const app = Fastify({ http: { maxHeaderSize: 8_192 } });
const limits = { subscriptions: roomCount, connectionsPerUser: Infinity, connectionsPerAddress: Infinity, handshakes: Infinity };
await new Gateway({ hub, policy, limits, allowedOrigins: [], version: 'bench' }).register(app);
await app.listen({ port: Number(process.argv[2]), host: '127.0.0.1' });
