/** A TCP proxy that behaves as badly as networks do, as told by function calls. */

import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** `up` is from the client to the server. */
export type Direction = 'up' | 'down';

export interface Faults {
  /** Added to each chunk's way, in ms. */
  latencyMs: number;
  /** Up to so much more, at random; chunks stay in order. */
  jitterMs: number;
  /** Largest piece handed on at once; 0: as it comes. */
  sliceBytes: number;
  /** Swallows everything of that direction, as a firewall that drops: no end, no reset. */
  blackhole: boolean;
}

export interface FaultProxy {
  host: string;
  port: number;
  /** Connections that were accepted since the start. */
  readonly accepted: number;
  readonly open: number;
  /** Bytes handed on since the start. */
  readonly bytes: Readonly<Record<Direction, number>>;
  readonly swallowed: number;
  /** Changes the faults of one direction or both, for open connections too. */
  set(faults: Partial<Faults>, direction?: Direction): void;
  /** No fault any more. What a blackhole swallowed is gone, so connections that lost bytes are reset. */
  heal(): void;
  /** Connections to come are closed at once (`refuse`), or taken as usual. */
  refuse(isRefusing: boolean): void;
  /** Ends every connection with RST. */
  reset(): void;
  /** Ends every connection with FIN after `ms`, handing nothing on meanwhile. */
  closeSlowly(ms: number): Promise<void>;
  /** Calls `look` with each chunk before it is handed on; false swallows it. */
  watch(look: ((direction: Direction, chunk: Buffer) => boolean) | undefined): void;
  close(): Promise<void>;
}

const none: Faults = { latencyMs: 0, jitterMs: 0, sliceBytes: 0, blackhole: false };
/** More than this on its way and the source is paused, as a full window would. */
const maxWaitingBytes = 4 * 1024 * 1024;

interface Pair {
  client: Socket;
  server: Socket;
  /** Bytes were swallowed: the connection can never be whole again. */
  isTorn: boolean;
}

/** Stands before `target` on a free loopback port, or `listen`. */
export async function startFaultProxy(
  target: { host: string; port: number },
  listen: { host: string; port?: number } = { host: '127.0.0.1' },
): Promise<FaultProxy> {
  const faults: Record<Direction, Faults> = { up: { ...none }, down: { ...none } };
  const pairs = new Set<Pair>();
  const bytes = { up: 0, down: 0 };
  let accepted = 0;
  let swallowed = 0;
  let isRefusing = false;
  let look: ((direction: Direction, chunk: Buffer) => boolean) | undefined;

  const swallow = (pair: Pair, chunk: Buffer): void => {
    pair.isTorn = true;
    swallowed += chunk.length;
  };
  const forward = (pair: Pair, direction: Direction): void => {
    const [from, to] = direction === 'up' ? [pair.client, pair.server] : [pair.server, pair.client];
    const queue: { chunk: Buffer; dueMs: number }[] = [];
    let waiting = 0;
    let dueMs = 0;
    let timer: NodeJS.Timeout | undefined;
    let isEnding = false;
    const write = (chunk: Buffer): void => {
      waiting -= chunk.length;
      if (faults[direction].blackhole) swallow(pair, chunk);
      else if (!to.destroyed) {
        bytes[direction] += chunk.length;
        to.write(chunk);
      }
      if (waiting <= maxWaitingBytes / 2 && from.isPaused()) from.resume();
    };
    /** What is due, in the order of its arrival: timers alone do not keep it. */
    const flush = (): void => {
      timer = undefined;
      const nowMs = performance.now();
      while (queue[0] && queue[0].dueMs <= nowMs) write(queue.shift()!.chunk);
      if (queue[0]) timer = setTimeout(flush, Math.ceil(queue[0].dueMs - nowMs));
      else if (isEnding) to.end();
    };
    const give = (chunk: Buffer): void => {
      const { latencyMs, jitterMs } = faults[direction];
      dueMs = Math.max(dueMs, performance.now() + latencyMs + Math.random() * jitterMs);
      waiting += chunk.length;
      if (waiting > maxWaitingBytes) from.pause();
      queue.push({ chunk, dueMs });
      if (!timer) flush();
    };
    from.on('data', (chunk: Buffer) => {
      if (faults[direction].blackhole || look?.(direction, chunk) === false) {
        swallow(pair, chunk);
        return;
      }
      const size = faults[direction].sliceBytes || chunk.length;
      for (let at = 0; at < chunk.length; at += size) give(chunk.subarray(at, at + size));
    });
    from.on('end', () => {
      // A firewall that drops drops the FIN as well.
      if (faults[direction].blackhole) pair.isTorn = true;
      else {
        isEnding = true;
        if (!timer) flush();
      }
    });
  };

  const end = (pair: Pair): void => {
    pairs.delete(pair);
    pair.client.resetAndDestroy();
    pair.server.resetAndDestroy();
  };
  const server: Server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    accepted += 1;
    client.on('error', () => undefined);
    if (isRefusing) {
      client.resetAndDestroy();
      return;
    }
    const pair: Pair = { client, server: connect({ ...target, allowHalfOpen: true, noDelay: true }), isTorn: false };
    pairs.add(pair);
    for (const [socket, other, direction] of [
      [pair.client, pair.server, 'up'],
      [pair.server, pair.client, 'down'],
    ] as const) {
      socket.on('error', () => {
        if (faults[direction].blackhole) pair.isTorn = true;
        else other.resetAndDestroy();
      });
      socket.on('close', () => {
        if (pair.client.destroyed && pair.server.destroyed) pairs.delete(pair);
      });
      forward(pair, direction);
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(listen.port ?? 0, listen.host, resolve);
  });

  return {
    host: listen.host,
    port: (server.address() as AddressInfo).port,
    bytes,
    get accepted() {
      return accepted;
    },
    get open() {
      return pairs.size;
    },
    get swallowed() {
      return swallowed;
    },
    set: (change, direction) => {
      for (const each of direction ? [direction] : (['up', 'down'] as const)) Object.assign(faults[each], change);
    },
    heal: () => {
      for (const each of ['up', 'down'] as const) Object.assign(faults[each], none);
      for (const pair of pairs) if (pair.isTorn) end(pair);
    },
    refuse: (refusing) => (isRefusing = refusing),
    reset: () => {
      for (const pair of pairs) end(pair);
    },
    closeSlowly: async (ms) => {
      const all = [...pairs];
      for (const { client, server: far } of all) for (const socket of [client, far]) socket.pause();
      await new Promise((resolve) => setTimeout(resolve, ms));
      for (const { client, server: far } of all) for (const socket of [client, far]) socket.resume().end();
    },
    watch: (looking) => (look = looking),
    close: async () => {
      for (const pair of pairs) end(pair);
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
