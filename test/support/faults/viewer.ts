/** A person who watches hosts with the SDK of the page, and writes down what is shown. */

import { Centrifuge, SubscriptionState } from 'centrifuge';
import type { AgentPublication } from '../../../src/protocol/kinds.ts';
import { hostRoom } from '../../../src/protocol/rooms.ts';
import { BrowserSocket } from '../browserSocket.ts';
import type { Seen } from './checker.ts';

export interface Viewer {
  readonly hosts: readonly string[];
  /** What was shown of each host, in order. */
  views(): Seen[][];
  /** Publications shown so far. */
  readonly seen: number;
  /** Times the line was lost. */
  readonly breaks: number;
  /** Ms from `at` to being shown, as far as both clocks agree, of what was shown since the last call and has an `at` from `sinceMs` of its host on. */
  takeLags(sinceMs?: (host: string) => number): number[];
  /** Ms from losing a room, or all, to having all again, of each time since the last call. */
  takeOutages(): number[];
  /** The id of the connection now. */
  client(): string | undefined;
  /** The ids of the connections in a room, with their kinds, as the hub tells them. */
  present(host: string): Promise<{ client: string; kind: string }[]>;
  close(): void;
}

/** Resolves once all rooms are joined. `token` gives a fresh access token. */
export async function startViewer(hubUrl: string, token: () => Promise<string>, hosts: readonly string[]): Promise<Viewer> {
  const views = new Map<string, Seen[]>(hosts.map((host) => [host, []]));
  let [seen, breaks] = [0, 0];
  let outages: number[] = [];
  let brokenMs: number | undefined;
  let id: string | undefined;
  let shown: { host: string; at: number; lagMs: number }[] = [];
  const client = new Centrifuge(`${hubUrl.replace('http', 'ws')}/connection/websocket`, {
    websocket: BrowserSocket,
    getToken: token,
    minReconnectDelay: 100,
    maxReconnectDelay: 2_000,
  });
  client.on('connecting', ({ code }) => {
    if (code !== 0) breaks += 1;
  });
  client.on('connected', ({ client: given }) => (id = given));
  const rooms = [...views].map(([host, view]) => {
    const room = client.newSubscription(hostRoom(host), { minResubscribeDelay: 50, maxResubscribeDelay: 1_000 });
    room.on('publication', ({ data }: { data: AgentPublication }) => {
      view.push({ boot: data.boot, seq: data.seq });
      seen += 1;
      shown.push({ host, at: data.at, lagMs: Date.now() - data.at });
    });
    room.on('subscribed', ({ wasRecovering, recovered }) => {
      if (!wasRecovering || !recovered) view.push({ mark: true });
      if (brokenMs === undefined || rooms.some(({ state }) => state !== SubscriptionState.Subscribed)) return;
      outages.push(performance.now() - brokenMs);
      brokenMs = undefined;
    });
    room.on('subscribing', ({ code }) => {
      // 0: by its own wish.
      if (code !== 0) brokenMs ??= performance.now();
    });
    room.subscribe();
    return room;
  });
  client.connect();
  await Promise.all(rooms.map((room) => room.ready(30_000)));
  return {
    hosts,
    views: () => [...views.values()],
    get seen() {
      return seen;
    },
    get breaks() {
      return breaks;
    },
    takeLags: (sinceMs = () => 0) => {
      const taken = shown.filter(({ host, at }) => at >= sinceMs(host)).map(({ lagMs }) => lagMs);
      shown = [];
      return taken;
    },
    takeOutages: () => {
      const taken = outages;
      outages = [];
      return taken;
    },
    client: () => id,
    async present(host) {
      const { clients } = await client.getSubscription(hostRoom(host))!.presence();
      return Object.values(clients).map((one) => ({ client: one.client, kind: (one.connInfo as { kind: string }).kind }));
    },
    close: () => client.disconnect(),
  };
}
