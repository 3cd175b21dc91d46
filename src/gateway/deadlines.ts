/** Keeps the deadlines of one connection: of its messages, pings, credentials. All are in `performance.now()`; 0: none. */

import type { Client } from '../hub/client.ts';
import { textFrames } from '../hub/frame.ts';
import type { Wire } from '../hub/wire.ts';
import { closes, unsubscribes, type EndCode } from '../protocol/codes.ts';
import { ping } from '../protocol/replies.ts';
import type { Limit, Services } from './services.ts';

/** Ping and pong frames of the WebSocket itself that a peer may send within `controlWindowMs`. */
const maxControlFrames = 100;
const controlWindowMs = 10_000;

const tooSlowMessage: EndCode = { code: 1008, reason: 'message not finished in time' };

const pingFrame = textFrames([ping]);

/** What ends the connection, with the limit it reached, if it is one. */
export interface Passed {
  end: EndCode;
  limit?: Limit;
}

export class Deadlines {
  readonly #services: Services;
  readonly #nativePings: boolean;
  readonly #staleAt: number;
  #nextPingAt = 0;
  #pongBy = 0;
  #midMessageSince = 0;
  #controlFrames = 0;
  #controlWindowEnds = 0;

  constructor(services: Services, nativePings: boolean) {
    this.#services = services;
    this.#nativePings = nativePings;
    this.#staleAt = performance.now() + services.timings.staleMs;
  }

  /** From now on it is pinged. */
  connected(): void {
    this.#nextPingAt = performance.now() + this.#services.timings.pingIntervalMs * (0.5 + Math.random() / 2);
  }

  /** A whole message came. */
  heard(): void {
    this.#midMessageSince = 0;
  }

  /** False where no ping was sent that this would answer. */
  tookPong(): boolean {
    if (this.#pongBy === 0 || this.#nativePings) return false;
    this.#pongBy = 0;
    return true;
  }

  /** A ping or pong frame of the WebSocket itself came; false where it is one too many. */
  tookControl(isPong: boolean): boolean {
    if (isPong && this.#nativePings) this.#pongBy = 0;
    const now = performance.now();
    if (now > this.#controlWindowEnds) {
      this.#controlWindowEnds = now + controlWindowMs;
      this.#controlFrames = 0;
    }
    return ++this.#controlFrames <= maxControlFrames;
  }

  /** Pings when it is time, ends subscriptions that expired; what it returns ends the connection. @param client absent: not connected yet */
  passed(now: number, wire: Wire, client: Client | undefined): Passed | undefined {
    const { timings, clock, hub } = this.#services;
    const paused = wire.ws.isPaused;
    if (!paused && wire.isMidMessage) {
      this.#midMessageSince ||= now;
      if (now - this.#midMessageSince >= timings.messageMs) return { end: tooSlowMessage, limit: 'message_time' };
    } else {
      this.#midMessageSince = 0;
    }
    if (!client) return now >= this.#staleAt ? { end: closes.stale } : undefined;
    if (client.closed) return undefined;
    // Who is not read from cannot answer, and who reads slowly has not seen the ping yet; the rule for slow clients decides there.
    if (this.#pongBy > 0 && now >= this.#pongBy && !paused && !client.isSlow) return { end: closes.noPong };
    if (now >= this.#nextPingAt) this.#ping(now, client);

    const time = clock.now() - timings.expiryGraceMs;
    if (client.identity.expiresAt !== undefined && time >= client.identity.expiresAt) return { end: closes.expired };
    for (const [name, { expiresAt }] of client.rooms) {
      if (expiresAt !== undefined && time >= expiresAt) hub.unsubscribe(client, name, unsubscribes.expired);
    }
    return undefined;
  }

  #ping(now: number, client: Client): void {
    const { pingIntervalMs, pongWithinMs } = this.#services.timings;
    this.#nextPingAt = now + pingIntervalMs;
    if (this.#pongBy > 0) return;
    this.#pongBy = now + pongWithinMs;
    if (this.#nativePings) client.wire.ws.ping();
    else client.write(pingFrame);
  }
}
