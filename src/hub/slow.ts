/** Keeps the clients whose queue is too long, until it has drained or their time is up. */

import { slowBytes, slowMs, type Client } from './client.ts';
import type { Membership } from './room.ts';

export interface SlowEvents {
  /** The client reads again; this membership missed publications. */
  drained(membership: Membership): void;
  /** The client stayed slow for too long. */
  tooLong(client: Client): void;
}

/** Looked at again so often, besides the socket's own `drain`. */
const lookMs = 1000;

export class SlowClients {
  readonly #skipped = new Map<Client, Set<Membership>>();
  readonly #waiting = new Map<Client, (() => void)[]>();
  readonly #limitMs: number;
  readonly #events: SlowEvents;
  #timer: NodeJS.Timeout | undefined;

  constructor(limitMs: number = slowMs, events: SlowEvents) {
    this.#limitMs = limitMs;
    this.#events = events;
  }

  add(client: Client): void {
    if (client.isSlow) return;
    client.slowSince = performance.now();
    this.#skipped.set(client, new Set());
    client.wire.onceDrained(() => this.#look(client));
    this.#timer ??= setInterval(() => this.#lookAtAll(), Math.min(lookMs, this.#limitMs)).unref();
  }

  /** Remembers a paused membership for the moment the client reads again. */
  skip(membership: Membership): void {
    this.add(membership.client);
    this.#skipped.get(membership.client)!.add(membership);
  }

  /** Resolves when the client is not slow any more, or gone. */
  wait(client: Client): Promise<void> {
    if (!client.isSlow || client.closed) return Promise.resolve();
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(client);
      if (waiting) waiting.push(resolve);
      else this.#waiting.set(client, [resolve]);
    });
  }

  delete(client: Client): void {
    this.#skipped.delete(client);
    client.slowSince = 0;
    this.#release(client);
    if (this.#skipped.size === 0) this.close();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #lookAtAll(): void {
    for (const client of this.#skipped.keys()) this.#look(client);
  }

  #look(client: Client): void {
    const memberships = this.#skipped.get(client);
    if (!memberships) return;
    const queued = client.wire.queuedBytes;
    if (queued === 0 || (memberships.size === 0 && queued <= slowBytes)) {
      this.delete(client);
      for (const membership of memberships) this.#events.drained(membership);
    } else if (performance.now() - client.slowSince >= this.#limitMs) {
      this.#events.tooLong(client);
    }
  }

  #release(client: Client): void {
    const waiting = this.#waiting.get(client);
    this.#waiting.delete(client);
    for (const resolve of waiting ?? []) resolve();
  }
}
