/** Keeps the rooms of this replica level with PostgreSQL, whatever became of the records between replicas. */

import { framesBeyond, maxMissed, publicationsBeyond } from '../data/missed.ts';
import type { SampleRow } from '../data/samples.ts';
import type { Sql } from '../db/database.ts';
import type { Hub } from '../hub/hub.ts';
import type { Clock } from '../lib/clock.ts';
import { Repeat } from '../lib/repeat.ts';
import type { Position } from '../protocol/commands.ts';
import type { AgentPublication } from '../protocol/kinds.ts';
import { conversationRoom, hostRoom, parseRoom } from '../protocol/rooms.ts';
import type { ConversationStream } from '../streams/conversation.ts';
import type { SampleStream } from '../streams/samples.ts';
import { isDeletion } from './conversation.ts';

export interface CatchUpParts {
  sql: Sql;
  hub: Pick<Hub, 'followed' | 'deliver'>;
  samples: SampleStream;
  conversations: ConversationStream;
  clock: Clock;
  /** What there is of other replicas; absent where this is the only one. */
  others?: {
    /** Whether their records cannot arrive now. */
    areAway(): boolean;
    /** Whether the host's agent is connected to one of them, or nowhere. */
    mayHold(host: string): boolean;
  };
  /** So many publications were shown that no record had brought. */
  caughtUp(kind: 'sample' | 'conversation', count: number): void;
  /** Told of the first failure of those that follow each other. */
  failed(error: unknown, what: string): void;
}

const defaultTimes = {
  /** While records cannot arrive, and for a while after, PostgreSQL is read so often; a fifth more or less. */
  everyMs: 1_000,
  /** Otherwise so often; together with `everyMs` and `settledMs` less than 5 s. */
  compareMs: 3_000,
  /** What was committed so recently may be on its way. */
  settledMs: 500,
  /** A host of another replica that was not heard of for so long is looked after … */
  silentMs: 1_200,
  /** … every time until so long, then with the comparison. */
  goneMs: 10_000,
  /** Others come back a little later than this replica. */
  afterAwayMs: 5_000,
};

/** Nothing known of a host: so far back a watcher is shown what it sent. */
const unknownMs = 10_000;
/** Rounds of one look, where there is more than one query gives. */
const maxRounds = 20;

export class CatchUp {
  readonly #parts: CatchUpParts;
  readonly #times: typeof defaultTimes;
  readonly #looking: Repeat;
  #comparedMs = performance.now();
  #awayMs = -Infinity;
  #isFailing = false;

  constructor(parts: CatchUpParts, times: Partial<typeof defaultTimes> = {}) {
    this.#parts = parts;
    this.#times = { ...defaultTimes, ...times };
    this.#looking = new Repeat(
      () => this.#look(),
      () => this.#times.everyMs * (0.8 + 0.4 * Math.random()),
    );
  }

  start(): void {
    this.#looking.start();
  }

  /** Records may have been lost, or may not arrive: looks at once, and closely for a while. */
  doubt(): void {
    this.#awayMs = performance.now();
    this.#looking.hurry();
  }

  close(): Promise<void> {
    return this.#looking.close();
  }

  async #look(): Promise<void> {
    const { compareMs, settledMs, afterAwayMs } = this.#times;
    const nowMs = performance.now();
    if (this.#parts.others?.areAway()) this.#awayMs = nowMs;
    const isCutOff = nowMs - this.#awayMs < afterAwayMs;
    const isDue = isCutOff || nowMs - this.#comparedMs >= compareMs;
    if (isDue) this.#comparedMs = nowMs;
    try {
      await this.#hosts(isCutOff, isDue);
      if (isDue) await this.#conversations(isCutOff ? 0 : settledMs);
      if (isDue) this.#isFailing = false;
    } catch (error) {
      if (!this.#isFailing) this.#parts.failed(error, 'comparing rooms with PostgreSQL');
      this.#isFailing = true;
    }
  }

  /** Shows what was committed into the followed conversations and not shown here. */
  async #conversations(settledMs: number): Promise<void> {
    const { sql, hub, conversations, caughtUp } = this.#parts;
    const { epoch } = conversations;
    for (let round = 0; round < maxRounds; round++) {
      const known: { room: string; offset: number }[] = [];
      for (const { name, position } of hub.followed()) {
        const room = parseRoom(name);
        if (room?.sort === 'room' && position?.epoch === epoch) known.push({ room: room.id, offset: position.offset });
      }
      if (known.length === 0) return;
      // oxlint-disable-next-line no-await-in-loop -- the next round begins where this one ends
      const missed = await publicationsBeyond(sql, known, settledMs);
      for (const { room, offset, data, info } of missed) {
        const entry = { offset, data, info: info ?? undefined };
        conversations.add(conversationRoom(room), entry, isDeletion(JSON.parse(data) as object));
        hub.deliver(conversationRoom(room), { ...entry, epoch });
      }
      if (missed.length > 0) caughtUp('conversation', missed.length);
      if (missed.length < maxMissed) return;
    }
  }

  /** Shows what the watched hosts sent to other replicas and nobody brought here. */
  async #hosts(isCutOff: boolean, isDue: boolean): Promise<void> {
    const { sql, samples, hub, caughtUp } = this.#parts;
    const inDoubt = new Set<string>();
    for (const { host } of this.#watched()) if (isCutOff || this.#isSilent(host, isDue)) inDoubt.add(host);
    for (let round = 0; round < maxRounds && inDoubt.size > 0; round++) {
      const known = Array.from(inDoubt, (host) => this.#newestOf(host)).flat();
      // oxlint-disable-next-line no-await-in-loop -- the next round begins where this one ends
      const missed = await framesBeyond(sql, known);
      const count = missed.filter((row) => this.#takeIn(row)).length;
      if (count > 0) caughtUp('sample', count);
      if (missed.length < maxMissed) break;
    }
    // Memory may also have been told by whoever entered the room meanwhile.
    for (const { host, position } of this.#watched()) {
      if (!inDoubt.has(host)) continue;
      for (const record of samples.beyond(host, position)) hub.deliver(hostRoom(host), record);
    }
  }

  /** The hosts with subscribers here of which another replica may know more, and how far each was shown. */
  *#watched(): Generator<{ host: string; position: Position | undefined }> {
    const { hub, others } = this.#parts;
    for (const { name, position } of hub.followed()) {
      const room = parseRoom(name);
      if (room?.sort === 'host' && others?.mayHold(room.id)) yield { host: room.id, position };
    }
  }

  #isSilent(host: string, isDue: boolean): boolean {
    const { silentMs, goneMs } = this.#times;
    const forMs = this.#parts.samples.silentMs(host);
    return forMs > silentMs && (isDue || forMs < goneMs);
  }

  #newestOf(host: string): Pick<SampleRow, 'host' | 'kind' | 'at'>[] {
    const { sample, processes } = this.#parts.samples.latest(host);
    const atLeast = this.#parts.clock.now() - unknownMs;
    const at = sample?.at ?? atLeast;
    return [
      { host, kind: 'sample', at },
      { host, kind: 'processes', at: processes?.at ?? at },
    ];
  }

  /** False where it was known here. */
  #takeIn({ host, kind, at, boot, seq, frame }: SampleRow): boolean {
    const { samples } = this.#parts;
    const newest = samples.latest(host)[kind];
    // Of a boot that has ended meanwhile.
    if (newest && newest.boot !== boot && newest.at > at) return false;
    if (samples.find(host, boot, seq) !== undefined) return false;
    return samples.hear(host, JSON.parse(frame) as AgentPublication, frame);
  }
}
