/** The WebSocket door: lets upgrades in through the normal router, makes connections of them, closes them all at the end. */

import websocket from '@fastify/websocket';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { WebSocket } from 'ws';
import type { Hub } from '../hub/hub.ts';
import { readDirect } from '../hub/inbound.ts';
import { checkInternals, releaseUpgrade } from '../hub/wire.ts';
import { Bucket } from '../lib/bucket.ts';
import { systemClock, type Clock } from '../lib/clock.ts';
import { closes } from '../protocol/codes.ts';
import type { Tracing } from '../ops/tracing.ts';
import { defaultMaxDepth } from '../protocol/frames.ts';
import { Connection } from './connection.ts';
import type { Rates } from './allowance.ts';
import { Seats, type ConnectionLimits, type Elsewhere } from './limits.ts';
import type { Policy } from './policy.ts';
import { defaultTimings, type GatewayLog, type GatewayMetrics, type Limit, type Services, type Timings } from './services.ts';

export interface GatewayOptions {
  hub: Hub;
  policy: Policy;
  limits: ConnectionLimits;
  /** Origins whose pages may connect, exactly as browsers send them; undefined: any. */
  allowedOrigins: readonly string[] | undefined;
  version: string;
  clock?: Clock;
  log?: GatewayLog;
  tracing?: Tracing;
  metrics?: GatewayMetrics;
  timings?: Partial<Timings>;
  maxDepth?: number;
  /** Absent: nobody is limited. */
  rates?: Rates;
  /** The connections of people on all replicas; absent: this is the only one. */
  elsewhere?: Elsewhere;
  /** Asked at each upgrade: whether another replica should rather take it. A proxy offers it there at once. */
  prefersOthers?: () => boolean;
}

export const webSocketPath = '/connection/websocket';

/** Inbound cap of the transport, for everyone; the caps per connection are lower. */
const transportMaxBytes = 1024 * 1024;
const protocolName = 'centrifuge-json';
/** Connections whose pings and deadlines may come together: those of so long a part of a sweep. */
const slotMs = 50;

const connectionOf = Symbol('connection');
type Held = WebSocket & { [connectionOf]?: Connection };

// Shared by all sockets, so that none of them holds closures of its own.
function onMessage(this: WebSocket, data: Buffer, isBinary: boolean): void {
  (this as Held)[connectionOf]?.read(data, isBinary);
}
function onPing(this: WebSocket): void {
  (this as Held)[connectionOf]?.readControl(false);
}
function onPong(this: WebSocket): void {
  (this as Held)[connectionOf]?.readControl(true);
}
/** `ws` answers protocol errors with the right close code itself; 'close' follows. */
function onError(this: WebSocket, error: NodeJS.ErrnoException): void {
  (this as Held)[connectionOf]?.failed(error);
}

export class Gateway {
  readonly #services: Services;
  readonly #allowedOrigins: ReadonlySet<string> | undefined;
  readonly #handshakes: Bucket;
  readonly #prefersOthers: () => boolean;
  /** Each is looked at in its turn within `sweepMs`, so that what is due goes out evenly. */
  readonly #slots: Set<Connection>[];
  #count = 0;
  #nextSlot = 0;
  #nextSwept = 0;
  #sweeper: NodeJS.Timeout | undefined;
  #closing = false;
  #emptied: (() => void) | undefined;

  constructor(options: GatewayOptions) {
    const nothing = (): void => undefined;
    this.#services = {
      hub: options.hub,
      policy: options.policy,
      clock: options.clock ?? systemClock,
      log: options.log ?? { error: nothing, warn: nothing, debug: nothing },
      tracing: options.tracing,
      metrics: options.metrics ?? { received: nothing, error: nothing, dropped: nothing },
      timings: { ...defaultTimings, ...options.timings },
      limits: options.limits,
      version: options.version,
      maxDepth: options.maxDepth ?? defaultMaxDepth,
      rates: options.rates ?? {},
      seats: new Seats(options.limits, options.elsewhere),
    };
    this.#allowedOrigins = options.allowedOrigins && new Set(options.allowedOrigins);
    this.#handshakes = new Bucket(options.limits.handshakes);
    const slots = Math.max(1, Math.floor(this.#services.timings.sweepMs / slotMs));
    this.#slots = Array.from({ length: slots }, () => new Set());
    this.#prefersOthers = options.prefersOthers ?? (() => false);
  }

  get connections(): number {
    return this.#count;
  }

  /** Adds the route. Call before other routes are added, so that an upgrade on one of those is answered and cut. */
  async register(fastify: FastifyInstance): Promise<void> {
    const { timings } = this.#services;
    await fastify.register(websocket, {
      options: {
        maxPayload: transportMaxBytes,
        clientTracking: false,
        closeTimeout: timings.closeTimeoutMs,
        // The connection counts pings itself, and says so with a close code where ws would just cut.
        maxPendingAutoPongs: 0,
        handleProtocols: (offered: Set<string>) => (offered.has(protocolName) ? protocolName : false),
        perMessageDeflate: { serverNoContextTakeover: true, clientNoContextTakeover: true, threshold: 1024, concurrencyLimit: 4 },
      } as NonNullable<Parameters<typeof websocket>[1]>['options'],
      preClose: (done) => void this.close().finally(done),
    });
    checkInternals(fastify.websocketServer);
    fastify.addHook('onRequest', async (request, reply) => {
      if (request.ws && request.routeOptions.url !== webSocketPath) await reply.code(404).send();
    });
    fastify.get(webSocketPath, { websocket: true, onRequest: (request, reply) => this.#guard(request, reply) }, (ws, request) =>
      this.#accept(ws, request),
    );
    this.#sweeper = setInterval(() => this.#sweep(), timings.sweepMs / this.#slots.length).unref();
  }

  /** Closes all connections with 3001 and waits until they are gone, or cuts them after `withinMs`. */
  async close(withinMs = 3000): Promise<void> {
    this.#closing = true;
    this.#services.hub.flush();
    for (const connection of this.#all()) connection.end(closes.shutdown);
    if (this.#count > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#emptied = resolve;
      const timer = setTimeout(() => {
        this.#services.metrics.drainIncomplete?.();
        this.#services.log.warn({ connections: this.#count }, 'the stop ran out of time; connections are cut');
        for (const connection of this.#all()) connection.terminate();
      }, withinMs);
      await promise;
      clearTimeout(timer);
    }
    clearInterval(this.#sweeper);
  }

  /** Refuses an upgrade before it happens. */
  async #guard(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    if (!request.ws) return;
    const { headers } = request.raw;
    const refuse = (status: number, why: string, limit?: Limit): Promise<void> => {
      if (limit) this.#services.metrics.dropped(limit);
      this.#services.log.debug({ address: request.ip, why }, 'refused an upgrade');
      return Promise.resolve(reply.code(status).send({ error: why })).then(() => undefined);
    };
    // The second name is that of protocol version 8, which ws still speaks.
    const origin = headers.origin ?? headers['sec-websocket-origin'];
    if (origin !== undefined && this.#allowedOrigins && !this.#allowedOrigins.has(String(origin)))
      return refuse(403, 'this origin may not connect');
    const query = request.query as Record<string, unknown>;
    const offered = String(headers['sec-websocket-protocol'] ?? '');
    if (offered.includes('centrifuge-protobuf') || query.format === 'protobuf' || query.cf_protocol === 'protobuf')
      return refuse(400, 'only the JSON encoding is spoken here');
    if (this.#closing) return refuse(503, 'shutting down');
    if (this.#prefersOthers()) {
      reply.header('retry-after', '0');
      return refuse(503, 'another replica has more room, try again', 'overfull');
    }
    if (!this.#handshakes.take()) return refuse(503, 'too many handshakes, try again shortly', 'handshake');
    if (origin !== undefined && this.#services.seats.isFull(request.ip))
      return refuse(429, 'too many connections from this address', 'connection');
    // Compression costs memory and processor time here; only programs that ask for it get it.
    if (origin !== undefined || query.compress !== '1') delete headers['sec-websocket-extensions'];
  }

  #accept(ws: WebSocket, request: FastifyRequest): void {
    const origin = request.headers.origin;
    const nativePings = (request.query as Record<string, unknown>).cf_ws_frame_ping_pong === 'true';
    releaseUpgrade(ws);
    readDirect(ws);
    const connection = new Connection(this.#services, ws, { address: request.ip, origin }, nativePings);
    const slot = this.#slots[this.#nextSlot++ % this.#slots.length]!;
    slot.add(connection);
    this.#count++;
    (ws as Held)[connectionOf] = connection;
    ws.on('message', onMessage);
    ws.on('ping', onPing);
    ws.on('pong', onPong);
    ws.on('error', onError);
    this.#onClose(ws, connection, slot);
    if (this.#closing) connection.end(closes.shutdown);
  }

  /** Apart, so that its closure holds nothing of the request. */
  #onClose(ws: WebSocket, connection: Connection, slot: Set<Connection>): void {
    ws.on('close', () => {
      slot.delete(connection);
      this.#count--;
      connection.closed();
      if (this.#count === 0) this.#emptied?.();
    });
  }

  #sweep(): void {
    const now = performance.now();
    for (const connection of this.#slots[this.#nextSwept++ % this.#slots.length]!) connection.tick(now);
  }

  #all(): Connection[] {
    return this.#slots.flatMap((slot) => [...slot]);
  }
}
