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
  /** The same with what they consisted of; either call takes them. */
  takeBreaks(): Break[];
  /** The id of the connection now. */
  client(): string | undefined;
  /** The ids of the connections in a room, with their kinds, as the hub tells them. */
  present(host: string): Promise<{ client: string; kind: string }[]>;
  close(): void;
}

/** One time a viewer was without a room or more. */
export interface Break {
  /** Why the line was lost, as the SDK tells. */
  code: number;
  /** Attempts to connect that failed, with what was wrong. */
  failed: string[];
  /** Ms until the SDK began the attempt that succeeded, by its own delays. */
  waitedMs: number;
  /** Ms from there until it was connected … */
  connectMs: number;
  /** … and from there until all rooms were joined. */
  joinMs: number;
}

/** How long the SDK waits before it connects again, in ms: `least` and once more up to that, doubled with each failure up to `most`. */
export interface Delays {
  least: number;
  most: number;
}

export const sdkDelays: Delays = { least: 500, most: 20_000 };
/** Those of `web/src/live.ts`. */
export const pageDelays: Delays = { least: 200, most: 5_000 };
const quickDelays: Delays = { least: 100, most: 2_000 };

export const outageMs = ({ waitedMs, connectMs, joinMs }: Break): number => waitedMs + connectMs + joinMs;

/** Resolves once all rooms are joined. `token` gives a fresh access token. */
export async function startViewer(
  hubUrl: string,
  token: () => Promise<string>,
  hosts: readonly string[],
  delays = quickDelays,
): Promise<Viewer> {
  const views = new Map<string, Seen[]>(hosts.map((host) => [host, []]));
  let [seen, breaks] = [0, 0];
  const past: Break[] = [];
  let now: { code: number; failed: string[]; fromMs: number; attemptMs: number; connectedMs: number } | undefined;
  let id: string | undefined;
  let shown: { host: string; at: number; lagMs: number }[] = [];
  class Attempt extends BrowserSocket {
    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols);
      if (now) now.attemptMs = performance.now();
      this.on('error', ({ message }) => now?.failed.push(message));
    }
  }
  const lost = (code: number): { code: number } => {
    const fromMs = performance.now();
    return (now ??= { code, failed: [], fromMs, attemptMs: fromMs, connectedMs: fromMs });
  };
  const client = new Centrifuge(`${hubUrl.replace('http', 'ws')}/connection/websocket`, {
    websocket: Attempt,
    getToken: token,
    minReconnectDelay: delays.least,
    maxReconnectDelay: delays.most,
  });
  client.on('connecting', ({ code }) => {
    // 0: by its own wish.
    if (code === 0) return;
    breaks += 1;
    lost(code).code = code;
  });
  client.on('connected', ({ client: given }) => {
    id = given;
    if (now) now.connectedMs = performance.now();
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
      if (!now || rooms.some(({ state }) => state !== SubscriptionState.Subscribed)) return;
      const { code, failed, fromMs, attemptMs, connectedMs } = now;
      past.push({
        code,
        failed,
        waitedMs: attemptMs - fromMs,
        connectMs: connectedMs - attemptMs,
        joinMs: performance.now() - connectedMs,
      });
      now = undefined;
    });
    room.on('subscribing', ({ code }) => {
      if (code !== 0) lost(code);
    });
    room.subscribe();
    return room;
  });
  const takeBreaks = (): Break[] => past.splice(0);
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
    takeBreaks,
    takeOutages: () => takeBreaks().map(outageMs),
    client: () => id,
    async present(host) {
      const { clients } = await client.getSubscription(hostRoom(host))!.presence();
      return Object.values(clients).map((one) => ({ client: one.client, kind: (one.connInfo as { kind: string }).kind }));
    },
    close: () => client.disconnect(),
  };
}
