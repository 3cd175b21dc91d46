/** Thousands of light clients in one process that join, stay, and come back as the SDK of the page does. */

import { WebSocket } from 'ws';

export interface CrowdOptions {
  /** Of the hub's socket. */
  url: string;
  size: number;
  token(n: number): string;
  /** What client `n` says when it connects for the time `count`, as agents do; default: nothing. */
  data?(n: number, count: number): object;
  /** What client `n` follows. */
  rooms(n: number): readonly string[];
  /** Where client `n` connects from; default: any. */
  localAddress?(n: number): string;
  /** As the page sets them. */
  minDelayMs?: number;
  maxDelayMs?: number;
  /** Told of each publication as it comes. */
  publication?(n: number, room: string, publication: Publication): void;
}

export interface Publication {
  data: Record<string, unknown>;
  offset?: number;
}

export interface Crowd {
  /** Clients that are in all their rooms. */
  joined(): number;
  /** Cuts all connections at once, without a close frame; each client comes back by itself. */
  drop(): void;
  /** What happened since the last call. */
  take(): CrowdCounts;
  close(): void;
}

export interface CrowdCounts {
  /** `performance.now()` of each upgrade that the hub took. */
  opened: number[];
  /** Upgrades that were answered otherwise, by status. */
  refused: Record<string, number>;
  /** Error replies by code. */
  errors: Record<string, number>;
  /** Close codes of the hub. */
  closes: Record<string, number>;
  recovered: number;
  unrecovered: number;
  bytes: number;
  /** `performance.now()` of each ping of the hub. */
  pings: number[];
}

interface Position {
  offset: number;
  epoch: string;
}

const emptyCounts = (): CrowdCounts => ({
  opened: [],
  refused: {},
  errors: {},
  closes: {},
  recovered: 0,
  unrecovered: 0,
  bytes: 0,
  pings: [],
});
const countUp = (counts: Record<string, number>, name: string | number): void => void (counts[name] = (counts[name] ?? 0) + 1);

export function startCrowd(options: CrowdOptions): Crowd {
  let counts = emptyCounts();
  const count = (): CrowdCounts => counts;
  const members = Array.from({ length: options.size }, (_, n) => new Member(n, options, count));
  for (const member of members) member.connect();
  return {
    joined: () => members.filter((member) => member.hasJoined).length,
    drop: () => {
      for (const member of members) member.drop();
    },
    take: () => {
      const taken = counts;
      counts = emptyCounts();
      return taken;
    },
    close: () => {
      for (const member of members) member.close();
    },
  };
}

class Member {
  readonly #n: number;
  readonly #options: CrowdOptions;
  readonly #count: () => CrowdCounts;
  /** By room; undefined until it was joined once, or where it has none. */
  readonly #rooms = new Map<string, Position | undefined>();
  readonly #asked = new Map<number, string>();
  readonly #inside = new Set<string>();
  #ws: WebSocket | undefined;
  #timer: NodeJS.Timeout | undefined;
  #attempts = 0;
  #connects = 0;
  #isConnected = false;
  #id = 0;
  #isOver = false;

  constructor(n: number, options: CrowdOptions, count: () => CrowdCounts) {
    this.#n = n;
    this.#options = options;
    this.#count = count;
    for (const room of options.rooms(n)) this.#rooms.set(room, undefined);
  }

  get hasJoined(): boolean {
    return this.#ws?.readyState === WebSocket.OPEN && this.#isConnected && this.#inside.size === this.#rooms.size;
  }

  connect(): void {
    const ws = new WebSocket(this.#options.url, {
      perMessageDeflate: false,
      localAddress: this.#options.localAddress?.(this.#n),
    });
    this.#ws = ws;
    ws.on('open', () => {
      this.#count().opened.push(performance.now());
      this.#send({
        id: ++this.#id,
        connect: { token: this.#options.token(this.#n), data: this.#options.data?.(this.#n, ++this.#connects) },
      });
    });
    ws.on('unexpected-response', (request, answer) => {
      countUp(this.#count().refused, answer.statusCode ?? 0);
      request.destroy();
      this.#comeBack();
    });
    ws.on('message', (data: Buffer) => this.#read(data));
    ws.on('error', () => undefined);
    ws.on('close', (code) => {
      countUp(this.#count().closes, code);
      if (this.#ws === ws) this.#comeBack();
    });
  }

  drop(): void {
    this.#ws?.terminate();
  }

  close(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#ws?.terminate();
  }

  /** The SDK's own backoff. */
  #comeBack(): void {
    this.#ws = undefined;
    this.#isConnected = false;
    this.#inside.clear();
    this.#asked.clear();
    if (this.#isOver) return;
    const { minDelayMs = 300, maxDelayMs = 5_000 } = this.#options;
    const spanMs = Math.min(maxDelayMs, minDelayMs * 2 ** Math.min(this.#attempts++, 31));
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.connect(), Math.min(maxDelayMs, minDelayMs + Math.random() * spanMs));
  }

  #send(...commands: object[]): void {
    if (this.#ws?.readyState === WebSocket.OPEN) this.#ws.send(commands.map((command) => JSON.stringify(command)).join('\n'));
  }

  #subscribe(room: string): object {
    const id = ++this.#id;
    this.#asked.set(id, room);
    const position = this.#rooms.get(room);
    return { id, subscribe: position ? { channel: room, recover: true, ...position } : { channel: room } };
  }

  #read(data: Buffer): void {
    this.#count().bytes += data.length;
    for (const line of data.toString().split('\n')) {
      if (line === '{}') {
        this.#count().pings.push(performance.now());
        this.#send({});
      } else this.#take(JSON.parse(line) as Line);
    }
  }

  #take({ id, error, connect, subscribe, push }: Line): void {
    if (push?.pub) {
      const position = this.#rooms.get(push.channel);
      if (position && push.pub.offset) position.offset = push.pub.offset;
      this.#options.publication?.(this.#n, push.channel, push.pub);
    } else if (push?.unsubscribe) {
      this.#inside.delete(push.channel);
      if (push.unsubscribe.code >= 2_500) this.#send(this.#subscribe(push.channel));
    } else if (connect) {
      this.#attempts = 0;
      this.#isConnected = true;
      if (this.#rooms.size > 0) this.#send(...[...this.#rooms.keys()].map((room) => this.#subscribe(room)));
    } else if (id !== undefined) {
      this.#answered(id, error, subscribe);
    }
  }

  #answered(id: number, error: Line['error'], subscribe: Line['subscribe']): void {
    const room = this.#asked.get(id);
    if (error) countUp(this.#count().errors, error.code);
    if (error && room === undefined) this.#ws?.close();
    if (room === undefined) return;
    this.#asked.delete(id);
    if (error?.temporary) setTimeout(() => this.#send(this.#subscribe(room)), 200 + Math.random() * 300);
    if (!subscribe) return;
    this.#inside.add(room);
    if (subscribe.epoch !== undefined) this.#rooms.set(room, { offset: subscribe.offset ?? 0, epoch: subscribe.epoch });
    for (const { offset } of subscribe.publications ?? []) {
      const position = this.#rooms.get(room);
      if (position && offset) position.offset = offset;
    }
    if (subscribe.was_recovering) this.#count()[subscribe.recovered ? 'recovered' : 'unrecovered'] += 1;
  }
}

interface Line {
  id?: number;
  error?: { code: number; temporary?: boolean };
  connect?: object;
  subscribe?: {
    offset?: number;
    epoch?: string;
    was_recovering?: boolean;
    recovered?: boolean;
    publications?: Publication[];
  };
  push?: { channel: string; pub?: Publication; unsubscribe?: { code: number } };
}
