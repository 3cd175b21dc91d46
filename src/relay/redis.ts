/** The relay through Redis: a channel per room, which a replica hears while it has members there; what is published goes in batches. */

import { createHash } from 'node:crypto';
import { encodeRecord, decodeRecord, isFrom } from './record.ts';
import type { RedisLink } from './redisLink.ts';
import { alwaysFollowed, betweenReplicas, type Relay, type RelayRecord, type RoomsHere } from './relay.ts';

export interface RedisRelayOptions {
  link: RedisLink;
  /** The id of this process. */
  replica: string;
  /** `relay`: records that found no way out; `relay_kept`: that Redis could not keep, as for want of memory; `relay_record`: what came in was none. */
  dropped?: (what: 'relay' | 'relay_kept' | 'relay_record', count: number) => void;
  /** How many records of a room Redis keeps for those who come later, as its newest; 0 of most. */
  kept?: (room: string, record: RelayRecord) => number;
  /** A room without members is heard for so long still: people come back. */
  lingerMs?: number;
}

/** Rooms that many publish into once a second, and whose watchers do not see 30 ms. All others are talk, which never waits. */
const patient = /^(host|fleet):|^~fleet$/;
/** How long patient records gather: where there are few, there is little to save. */
const quietWindowMs = 5;
const busyWindowMs = 30;
/** Patient records a millisecond from which on it is busy. */
const busyRate = 0.25;
/** Text on its way to Redis or waiting for it; about what a busy replica publishes in two seconds, which is as long as a command may take. */
const maxChars = 16 * 1024 * 1024;
/** Records that Redis handles in one go, while it does nothing else. */
const maxBatch = 500;
/** So long Redis keeps the records of a silent room. */
const keptS = 600;

/**
 * For each record: keeps it if wanted and possible, then publishes it, for which Redis needs neither memory nor a disk. Answers with how
 * many it could not keep. What stands under the name of a list and is none makes room. KEYS: of each record its list, or its channel where it is not kept.
 * ARGV: the verb, the seconds to keep lists, then of each record its channel, how many to keep, the record.
 */
const script = `
local verb, seconds, lost = ARGV[1], ARGV[2], 0
local function failed(answer) return type(answer) == 'table' and answer.err or '' end
for i = 1, #KEYS do
  local at = 3 * i
  local keep, line = tonumber(ARGV[at + 1]), ARGV[at + 2]
  if keep > 0 then
    local count = redis.pcall('rpush', KEYS[i], line)
    if string.find(failed(count), 'WRONGTYPE', 1, true) then
      redis.call('del', KEYS[i])
      count = redis.pcall('rpush', KEYS[i], line)
    end
    if failed(count) ~= '' then lost = lost + 1
    else
      if count == 1 or count % 30 == 0 then redis.call('expire', KEYS[i], seconds) end
      if count >= keep + 30 then redis.call('ltrim', KEYS[i], -keep, -1) end
    end
  end
  redis.call(verb, ARGV[at], line)
end
return lost`;
const scriptHash = createHash('sha1').update(script).digest('hex');

/** What waits for one node of Redis. */
interface Batch {
  keys: string[];
  args: (string | number)[];
  chars: number;
}

export class RedisRelay implements Relay {
  readonly #options: RedisRelayOptions;
  readonly #link: RedisLink;
  readonly #lingerMs: number;
  #deliver: ((room: string, record: RelayRecord) => void) | undefined;
  #here: RoomsHere = new Set<string>();
  /** Rooms followed in Redis, by channel. */
  readonly #rooms = new Map<string, string>();
  /** Rooms without members that are followed still, with when that ends. */
  readonly #leaving = new Map<string, number>();
  #sweeping: NodeJS.Timeout | undefined;
  readonly #batches = new Map<number, Batch>();
  /** Characters that wait, or are sent and not answered. */
  #chars = 0;
  /** Patient records that wait, and since when. */
  #gathered = 0;
  #gatheringSinceMs = 0;
  #window: NodeJS.Timeout | undefined;
  #urgent: NodeJS.Immediate | undefined;
  #windowMs = quietWindowMs;
  readonly #flying = new Set<Promise<void>>();

  constructor(options: RedisRelayOptions) {
    this.#options = options;
    this.#link = options.link;
    this.#lingerMs = options.lingerMs ?? 10_000;
  }

  async start(deliver: (room: string, record: RelayRecord) => void): Promise<void> {
    this.#deliver = deliver;
    this.#link.hear((channel, text) => this.#arrived(channel, text));
    this.#join(betweenReplicas);
    await Promise.resolve();
  }

  publish(room: string, record: RelayRecord): void {
    if (!this.#deliver) return;
    const line = encodeRecord(this.#options.replica, record);
    if (this.#chars + line.length > maxChars) return this.#options.dropped?.('relay', 1);
    this.#chars += line.length;
    this.#add(room, line, this.#options.kept?.(room, record) ?? 0);
    if (!patient.test(room)) {
      this.#urgent ??= setImmediate(() => this.#flush());
      return;
    }
    if (this.#gathered++ === 0) this.#gatheringSinceMs = performance.now();
    this.#window ??= setTimeout(() => this.#flush(), this.#windowMs);
  }

  follow(rooms: RoomsHere, changed?: Iterable<string>): void {
    this.#here = rooms;
    const asked = [...(changed ?? new Set([...rooms, ...this.#rooms.values()]))];
    this.#join(asked.filter((room) => rooms.has(room)));
    const endMs = performance.now() + this.#lingerMs;
    for (const room of asked) if (!rooms.has(room) && this.#rooms.has(this.#link.channel(room))) this.#leaving.set(room, endMs);
    this.#sweepLater();
  }

  /** Sends what waits; what arrives from now on is delivered to nobody. */
  async close(): Promise<void> {
    this.#flush();
    this.#deliver = undefined;
    clearTimeout(this.#sweeping);
    this.#link.unfollow([...this.#rooms.keys()]);
    this.#rooms.clear();
    await Promise.all(this.#flying);
  }

  #add(room: string, line: string, keep: number): void {
    const group = this.#link.group(room);
    let batch = this.#batches.get(group);
    if (!batch) this.#batches.set(group, (batch = { keys: [], args: [], chars: 0 }));
    const channel = this.#link.channel(room);
    batch.keys.push(keep > 0 ? this.#link.keptKey(room) : channel);
    batch.args.push(channel, keep, line);
    batch.chars += line.length;
    if (batch.keys.length < maxBatch) return;
    this.#batches.delete(group);
    this.#send(batch);
  }

  #flush(): void {
    clearTimeout(this.#window);
    clearImmediate(this.#urgent);
    this.#window = undefined;
    this.#urgent = undefined;
    if (this.#gathered > 0) {
      // Talk ends a window early: a few records before it are no rate.
      const elapsedMs = Math.max(quietWindowMs, performance.now() - this.#gatheringSinceMs);
      this.#windowMs = this.#gathered / elapsedMs >= busyRate ? busyWindowMs : quietWindowMs;
      this.#gathered = 0;
    }
    const batches = [...this.#batches.values()];
    this.#batches.clear();
    for (const batch of batches) this.#send(batch);
  }

  #send(batch: Batch): void {
    const { dropped } = this.#options;
    const sending = this.#run(batch)
      .then((lost) => void (lost > 0 && dropped?.('relay_kept', lost)))
      .catch(() => dropped?.('relay', batch.keys.length))
      .then(() => {
        this.#chars -= batch.chars;
        this.#flying.delete(sending);
      });
    this.#flying.add(sending);
  }

  /** How many records were not kept. */
  async #run({ keys, args }: Batch): Promise<number> {
    const { commands, isCluster } = this.#link;
    const all = [...keys, isCluster ? 'spublish' : 'publish', keptS, ...args];
    try {
      return Number(await commands.evalsha(scriptHash, keys.length, ...all));
    } catch (error) {
      // A Redis that is new to us, or was started anew.
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
      return Number(await commands.eval(script, keys.length, ...all));
    }
  }

  #arrived(channel: string, text: string): void {
    const room = this.#rooms.get(channel);
    if (room === undefined || isFrom(text, this.#options.replica)) return;
    if (!room.startsWith(alwaysFollowed) && !this.#here.has(room)) return;
    const record = decodeRecord(text);
    if (record) this.#deliver?.(room, record);
    else this.#options.dropped?.('relay_record', 1);
  }

  #join(rooms: readonly string[]): void {
    const channels: string[] = [];
    for (const room of rooms) {
      this.#leaving.delete(room);
      const channel = this.#link.channel(room);
      if (this.#rooms.has(channel)) continue;
      this.#rooms.set(channel, room);
      channels.push(channel);
    }
    this.#link.follow(channels);
  }

  #sweepLater(): void {
    if (this.#leaving.size === 0) return;
    this.#sweeping ??= setTimeout(() => {
      this.#sweeping = undefined;
      this.#sweep();
      this.#sweepLater();
    }, this.#lingerMs);
  }

  #sweep(): void {
    const now = performance.now();
    const channels: string[] = [];
    for (const [room, endMs] of this.#leaving) {
      if (endMs > now) continue;
      this.#leaving.delete(room);
      const channel = this.#link.channel(room);
      this.#rooms.delete(channel);
      channels.push(channel);
    }
    this.#link.unfollow(channels);
  }
}
