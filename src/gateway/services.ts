/** What every connection of one gateway shares. */

import type { Hub } from '../hub/hub.ts';
import type { Clock } from '../lib/clock.ts';
import type { Tracing } from '../ops/tracing.ts';
import type { Method } from '../protocol/commands.ts';
import type { Rates } from './allowance.ts';
import type { ConnectionLimits, Seats } from './limits.ts';
import type { Policy } from './policy.ts';

export interface Timings {
  /** Between pings; the first comes after a random half to whole of it. */
  pingIntervalMs: number;
  /** How long a pong may take. */
  pongWithinMs: number;
  /** How long a connection may take to connect. */
  staleMs: number;
  /** How long credentials are honoured after they ended, for the refresh to arrive. */
  expiryGraceMs: number;
  /** How long a command may take, from its arrival, before it is answered with error 100: SDKs drop the connection after 5 s. */
  commandMs: number;
  /** How long a message may take from its first byte to its last. */
  messageMs: number;
  /** All of the above but `commandMs` are looked at so often. */
  sweepMs: number;
  /** How long a peer may take to answer a close frame. */
  closeTimeoutMs: number;
}

export const defaultTimings: Timings = {
  pingIntervalMs: 25_000,
  pongWithinMs: 8_000,
  staleMs: 10_000,
  expiryGraceMs: 25_000,
  commandMs: 4_000,
  messageMs: 10_000,
  sweepMs: 1000,
  closeTimeoutMs: 5_000,
};

/** The limits of the door, by the names under which what they kept out is counted. */
export type Limit =
  | 'handshake'
  | 'overfull'
  | 'connection'
  | 'subscription'
  | 'command'
  | 'message_bytes'
  | 'nesting'
  | 'message_size'
  | 'message_time'
  | 'control_frames';

export interface GatewayMetrics {
  /** A command arrived. */
  received(method: Method): void;
  /** A handler failed for a reason that is not the client's. */
  error(where: string): void;
  /** A limit was reached, and something refused or closed for it. */
  dropped(what: Limit): void;
  /** A stop ran out of time and had to cut connections. */
  drainIncomplete?(): void;
}

export interface GatewayLog {
  error(details: object, message: string): void;
  warn(details: object, message: string): void;
  debug(details: object, message: string): void;
}

export interface Services {
  hub: Hub;
  policy: Policy;
  clock: Clock;
  log: GatewayLog;
  /** Absent: no traces. */
  tracing: Tracing | undefined;
  metrics: GatewayMetrics;
  timings: Timings;
  limits: ConnectionLimits;
  /** `version` of the connect result. */
  version: string;
  /** Levels of arrays and objects in a command. */
  maxDepth: number;
  /** Of one connection. */
  rates: Rates;
  seats: Seats;
}

/** `expires` and `ttl` of a result. @param expiresAt hub time in ms */
export function expiry(expiresAt: number | undefined, clock: Clock): { expires?: true; ttl?: number } {
  if (expiresAt === undefined) return {};
  return { expires: true, ttl: Math.max(1, Math.floor((expiresAt - clock.now()) / 1000)) };
}
