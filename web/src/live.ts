/** The one connection to the hub's rooms. */

import {
  Centrifuge,
  type JoinContext,
  type PublicationContext,
  type SubscribedContext,
  type Subscription,
  UnauthorizedError,
} from 'centrifuge';
import type { ClientInfo } from '../../src/protocol/commands.ts';
import type { Degraded } from '../../src/protocol/kinds.ts';
import type { HubTime } from '../../src/protocol/rest.ts';
import { accessToken, plain, Problem, refresh } from './api.ts';
import { Store } from './lib/store.ts';

export type Connection = 'connecting' | 'connected' | 'disconnected';

export interface RoomListener {
  publication(data: unknown): void;
  /** `recovered`: nothing was missed since the last time. */
  subscribed?(data: unknown, recovered: boolean): void;
  /** For good: the room is gone or closed to this person. */
  ended?(code: number): void;
  joined?(info: ClientInfo): void;
  left?(info: ClientInfo): void;
}

export interface OpenRoom {
  presence(): Promise<ClientInfo[]>;
  close(): void;
}

const measureEveryMs = 10_000;
/** Corrections of the hub's clock below this are noise. */
const ignoredOffsetMs = 20;

export class Live {
  readonly connection = new Store<Connection>('connecting');
  /** Milliseconds of a round trip over the socket; null before the first. */
  readonly roundTripMs = new Store<number | null>(null);
  /** What the hub has to do without, by name. */
  readonly away = new Store<readonly string[]>([]);
  readonly #client: Centrifuge;
  readonly #rooms = new Set<string>();
  #offsetMs = 0;
  #timer: ReturnType<typeof setInterval> | undefined;
  #hasConnected = false;

  /** @param url of the hub's socket */
  constructor(url: string) {
    this.#client = new Centrifuge(url, { getToken: () => this.#token(), minReconnectDelay: 200, maxReconnectDelay: 5_000, name: 'web' });
    this.#client.on('connected', () => {
      this.#hasConnected = true;
      // What is away is told behind this.
      this.away.set([]);
      this.connection.set('connected');
      void this.#measure();
    });
    this.#client.on('message', ({ data }: { data: Degraded | { kind: unknown } }) => {
      if (data.kind === 'degraded') this.away.set((data as Degraded).away);
    });
    this.#client.on('connecting', () => this.connection.set('connecting'));
    this.#client.on('disconnected', () => this.connection.set('disconnected'));
    // What went wrong shows in the state; the next attempt follows by itself.
    this.#client.on('error', () => {});
  }

  connect(): void {
    this.#client.connect();
    this.#timer ??= setInterval(() => void this.#measure(), measureEveryMs);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#client.disconnect();
    for (const channel of Object.keys(this.#client.subscriptions())) this.#remove(channel);
    this.#rooms.clear();
  }

  /** Hub time now, in ms. */
  now = (): number => Date.now() + this.#offsetMs;

  /** Follows a room until closed; one follower per room. */
  open(channel: string, listener: RoomListener, joinLeave = false): OpenRoom {
    this.#remove(channel);
    const subscription = this.#client.newSubscription(channel, { joinLeave, minResubscribeDelay: 300, maxResubscribeDelay: 5_000 });
    this.#rooms.add(channel);
    subscription.on('publication', (context: PublicationContext) => listener.publication(context.data));
    subscription.on('subscribed', (context: SubscribedContext) => {
      listener.subscribed?.(context.data, context.wasRecovering && context.recovered);
      if (this.roundTripMs.get() === null) void this.#measure();
    });
    subscription.on('join', (context: JoinContext) => listener.joined?.(infoOf(context.info)));
    subscription.on('leave', (context: JoinContext) => listener.left?.(infoOf(context.info)));
    subscription.on('unsubscribed', (context) => listener.ended?.(context.code));
    subscription.on('error', () => {});
    subscription.subscribe();
    return {
      presence: async () => Object.values((await subscription.presence()).clients).map(infoOf),
      close: () => this.#close(channel, subscription),
    };
  }

  #close(channel: string, subscription: Subscription): void {
    if (this.#client.getSubscription(channel) === subscription) this.#remove(channel);
  }

  #remove(channel: string): void {
    const known = this.#client.getSubscription(channel);
    if (!known) return;
    known.removeAllListeners();
    known.unsubscribe();
    this.#client.removeSubscription(known);
    this.#rooms.delete(channel);
  }

  async #token(): Promise<string> {
    try {
      // Asked again means that the hub found the last one too old.
      return this.#hasConnected ? (await refresh()).accessToken : await accessToken();
    } catch (error) {
      if (error instanceof Problem && error.status === 401) throw new UnauthorizedError('signed out');
      throw error;
    }
  }

  async #measure(): Promise<void> {
    if (this.connection.get() !== 'connected') return;
    try {
      const before = performance.now();
      const { time } = await plain<HubTime>('GET', '/time');
      const offset = time + (performance.now() - before) / 2 - Date.now();
      if (Math.abs(offset - this.#offsetMs) > ignoredOffsetMs) this.#offsetMs = offset;
      // A fleet has no presence to ask for.
      const room = [...this.#rooms].find((name) => name.startsWith('host:'));
      if (room === undefined) return;
      const sent = performance.now();
      await this.#client.presenceStats(room);
      this.roundTripMs.set(performance.now() - sent);
    } catch {
      // The line went down in between; the connection's own state shows that.
      this.roundTripMs.set(null);
    }
  }
}

const infoOf = (info: { user: string; client: string; connInfo?: unknown; chanInfo?: unknown }): ClientInfo => ({
  user: info.user,
  client: info.client,
  conn_info: info.connInfo,
  chan_info: info.chanInfo,
});
