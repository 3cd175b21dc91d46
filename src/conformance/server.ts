/** The protocol layer alone: gateway, hub and streams in memory, with a small HTTP API to publish and to read history. */

import type { AddressInfo } from 'node:net';
import Fastify, { type FastifyReply, type FastifyRequest } from 'fastify';
import { Gateway, type GatewayOptions } from '../gateway/gateway.ts';
import { Hub, type HubOptions } from '../hub/hub.ts';
import { MemoryRelay } from '../relay/memory.ts';
import { MemoryPresence, type Presence } from '../relay/presence.ts';
import type { Relay } from '../relay/relay.ts';
import { errors } from '../protocol/codes.ts';
import { maxChannelLength } from '../protocol/requests.ts';
import { MemoryStreams } from '../streams/memory.ts';
import { openPolicy } from './openPolicy.ts';

export interface ConformanceOptions {
  port: number;
  host?: string;
  hub?: Partial<HubOptions>;
  gateway?: Partial<GatewayOptions>;
  /** Publications kept per channel; `smallhistory:*` keeps 2. */
  historySize?: number;
  historyTtlMs?: number;
  /** What several of them share; absent: it is alone. */
  shared?: { relay: Relay; presence: Presence; streams: ConformanceStreams };
}

/** Those that keep `historySize` publications, and those that keep 2. */
export interface ConformanceStreams {
  usual: MemoryStreams;
  small: MemoryStreams;
}

export interface ConformanceServer {
  /** `http://host:port` */
  url: string;
  /** Of `/connection/websocket`. */
  webSocketUrl: string;
  hub: Hub;
  gateway: Gateway;
  streams: MemoryStreams;
  close(): Promise<void>;
}

export const apiKey = 'test-api-key';
export const tokenSecret = 'secret';

/** A channel to publish into, or to read. */
interface Body {
  channel: string;
  data?: unknown;
  limit?: number;
  since?: { offset?: number; epoch?: string };
  reverse?: boolean;
}

export function makeStreams({ historySize = 100, historyTtlMs = 300_000 }: Partial<ConformanceOptions>): ConformanceStreams {
  const make = (size: number): MemoryStreams => new MemoryStreams({ size, ttlMs: historyTtlMs });
  return { usual: make(historySize), small: make(2) };
}

export async function startConformance(options: ConformanceOptions): Promise<ConformanceServer> {
  const { host = '127.0.0.1', historySize = 100 } = options;
  const { relay, presence, streams } = options.shared ?? {
    relay: new MemoryRelay(),
    presence: new MemoryPresence(),
    streams: makeStreams(options),
  };
  const streamsOf = (channel: string): MemoryStreams => (channel.startsWith('smallhistory:') ? streams.small : streams.usual);

  const hub = new Hub({ relay, presence, joinLeaveUpTo: Infinity, ...options.hub });
  await hub.start();
  const unlimited = { subscriptions: 128, connectionsPerUser: Infinity, connectionsPerAddress: Infinity, handshakes: Infinity };
  const policy = openPolicy({ hub, streamsOf, secret: tokenSecret });
  const app = Fastify({ forceCloseConnections: true, http: { maxHeaderSize: 8192 } });
  app.server.maxHeadersCount = 100;
  const gateway = new Gateway({
    hub,
    policy,
    limits: unlimited,
    allowedOrigins: undefined,
    version: 'hostroom conformance',
    log: app.log,
    ...options.gateway,
  });
  await gateway.register(app);

  // Suites send JSON under whatever content type their language's default is.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, text, done) => {
    try {
      done(null, JSON.parse(text as string));
    } catch (error) {
      done(Object.assign(error as Error, { statusCode: 400 }), undefined);
    }
  });

  app.get('/', () => ({ name: 'hostroom conformance' }));
  app.get('/health', () => ({}));

  const guard = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    if (request.headers['x-api-key'] !== apiKey) await reply.code(401).send({ error: errors.unauthorized });
  };
  const checked = (body: unknown): Body | undefined => {
    const { channel } = (body ?? {}) as Body;
    return typeof channel === 'string' && channel !== '' && channel.length <= maxChannelLength ? (body as Body) : undefined;
  };

  app.post('/api/publish', { onRequest: guard }, async (request, reply) => {
    const body = checked(request.body);
    if (!body || body.data === undefined) return reply.code(400).send({ error: errors.badRequest });
    const record = streamsOf(body.channel).add(body.channel, JSON.stringify(body.data));
    hub.publish(body.channel, record);
    return { result: { offset: record.offset, epoch: record.epoch } };
  });

  app.post('/api/history', { onRequest: guard }, async (request, reply) => {
    const body = checked(request.body);
    if (!body) return reply.code(400).send({ error: errors.badRequest });
    const { channel, limit = 0, since, reverse = false } = body;
    const wanted = limit < 0 ? historySize : limit;
    const page = await streamsOf(channel).read(channel, {
      since: since ? (since.offset ?? 0) : undefined,
      epoch: since?.epoch,
      limit: wanted,
      reverse,
    });
    if (since?.epoch && since.epoch !== page.top.epoch) return { error: errors.unrecoverablePosition };
    const publications = page.entries.map(({ offset, data, info }) => ({
      offset,
      data: JSON.parse(data) as unknown,
      ...(info ? { info: JSON.parse(info) as unknown } : {}),
    }));
    return { result: { publications, offset: page.top.offset, epoch: page.top.epoch } };
  });

  const close = async (): Promise<void> => {
    await app.close();
    await hub.close();
    await presence.close();
    await relay.close();
  };
  try {
    await app.listen({ port: options.port, host });
  } catch (error) {
    await close();
    throw error;
  }
  const { port } = app.server.address() as AddressInfo;
  return {
    url: `http://${host}:${port}`,
    webSocketUrl: `ws://${host}:${port}/connection/websocket`,
    hub,
    gateway,
    streams: streams.usual,
    close,
  };
}
