/** A person who watches hosts with the SDK of the page, and writes down what is shown. */

import { Centrifuge } from 'centrifuge';
import type { AgentPublication } from '../../../src/protocol/kinds.ts';
import { hostRoom } from '../../../src/protocol/rooms.ts';
import { BrowserSocket } from '../browserSocket.ts';
import type { Seen } from './checker.ts';

export interface Viewer {
  /** What was shown of each host, in order. */
  views(): Seen[][];
  /** Publications shown so far. */
  readonly seen: number;
  /** Times the line was lost. */
  readonly breaks: number;
  /** Ms from `at` to being shown, as far as both clocks agree, of what was shown since the last call and has an `at` from `sinceMs` of its host on. */
  takeLags(sinceMs?: (host: string) => number): number[];
  close(): void;
}

/** Resolves once all rooms are joined. `token` gives a fresh access token. */
export async function startViewer(hubUrl: string, token: () => Promise<string>, hosts: readonly string[]): Promise<Viewer> {
  const views = new Map<string, Seen[]>(hosts.map((host) => [host, []]));
  let [seen, breaks] = [0, 0];
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
  const rooms = [...views].map(([host, view]) => {
    const room = client.newSubscription(hostRoom(host), { minResubscribeDelay: 50, maxResubscribeDelay: 1_000 });
    room.on('publication', ({ data }: { data: AgentPublication }) => {
      view.push({ boot: data.boot, seq: data.seq });
      seen += 1;
      shown.push({ host, at: data.at, lagMs: Date.now() - data.at });
    });
    room.on('subscribed', ({ wasRecovering, recovered }) => {
      if (!wasRecovering || !recovered) view.push({ mark: true });
    });
    room.subscribe();
    return room;
  });
  client.connect();
  await Promise.all(rooms.map((room) => room.ready(30_000)));
  return {
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
    close: () => client.disconnect(),
  };
}
