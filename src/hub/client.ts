/** One connection as the hub sees it: who it is, which rooms it is in, what is to be written to it. */

import type { EndCode } from '../protocol/codes.ts';
import type { ClientInfo } from '../protocol/commands.ts';
import { textFrames, type Frames } from './frame.ts';
import type { Membership } from './room.ts';
import type { Turn } from './turn.ts';
import type { Wire } from './wire.ts';

/** Who stands behind a connection, once it connected. */
export interface Identity {
  /** `user` of ClientInfo; empty for anonymous. */
  user: string;
  /** Label of the metrics, and the unit of limits. */
  kind: 'agent' | 'user';
  /** `conn_info` of ClientInfo. */
  info?: unknown;
  /** Hub time in ms when the credentials end; the client is asked to refresh before. */
  expiresAt?: number;
  /** The session or key behind the credentials; what a revocation names. */
  session?: string;
  /** Inbound frame cap once connected. */
  maxFrameBytes: number;
  /** Whatever the owner wants to find again on the client (boot and connection of an agent). */
  extra?: unknown;
}

/** Above this a client is slow: skippable rooms pause, and its next command waits. */
export const slowBytes = 256 * 1024;
/** Above this a client is closed with 3008. */
export const maxQueuedBytes = 1024 * 1024;
/** So long a client may stay slow. */
export const slowMs = 30_000;

/** Pending characters that are not kept for the end of the turn. */
const flushLength = 128 * 1024;

export class Client {
  /** The id of the connection, as ClientInfo shows it. */
  readonly id: string;
  identity: Identity;
  /** By room name: subscribed, or about to be. */
  readonly rooms = new Map<string, Membership>();
  /** Rooms joined without subscribing. */
  attached: string[] = [];
  closed = false;
  /** `performance.now()` */
  readonly openedAt = performance.now();
  /** `performance.now()` since when the queue is over `slowBytes`; 0: it is not. */
  slowSince = 0;
  /** Written at the end of this turn, in order. */
  pending: string[] = [];
  /** Set while the turn gathers several writes to this client. */
  corked = false;
  readonly wire: Wire;
  #pendingLength = 0;
  readonly #turn: Turn;

  constructor(id: string, identity: Identity, wire: Wire, turn: Turn) {
    this.id = id;
    this.identity = identity;
    this.wire = wire;
    this.#turn = turn;
  }

  get info(): ClientInfo {
    const { user, info } = this.identity;
    return info === undefined ? { user, client: this.id } : { user, client: this.id, conn_info: info };
  }

  /** Sends one line of JSON text at the end of this turn, before what its rooms publish in it. */
  send(text: string): void {
    if (this.closed) return;
    if (this.pending.length === 0) this.#turn.addClient(this);
    this.pending.push(text);
    this.#pendingLength += text.length;
    // Not to be hidden from the queue's caps until the turn ends: one turn can run many commands.
    if (this.#pendingLength > flushLength) this.flush();
  }

  /** Writes what `send` collected. Replies are not cut off: the gateway runs no command while the queue is over `slowBytes`. */
  flush(): void {
    if (this.pending.length === 0) return;
    const texts = this.pending;
    this.pending = [];
    this.#pendingLength = 0;
    this.write(textFrames(texts));
    this.#turn.release(this);
    this.#turn.events.replied(texts.length);
  }

  /** Writes finished frames at once; notices when the client has become slow. */
  write(frames: Frames): void {
    this.wire.write(frames);
    if (this.slowSince === 0 && this.wire.queuedBytes > slowBytes) this.#turn.events.becameSlow(this);
  }

  get isSlow(): boolean {
    return this.slowSince !== 0;
  }

  /** Writes what is pending, then closes with the code's plain words. Harmless when closed already. */
  close(end: EndCode): void {
    if (this.closed) return;
    this.flush();
    this.closed = true;
    this.pending = [];
    this.#turn.release(this);
    this.wire.close(end);
    this.#turn.events.closed(this);
  }
}
