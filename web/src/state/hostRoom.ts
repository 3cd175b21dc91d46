/** The live half of a host's room: its samples without a hole, its state, who is in it. */

import type { ClientInfo } from '../../../src/protocol/commands.ts';
import type { Fleet, HostState, Processes, Sample } from '../../../src/protocol/kinds.ts';
import { hostRoom } from '../../../src/protocol/rooms.ts';
import type { Series } from '../../../src/protocol/restHistory.ts';
import { call, stream } from '../api.ts';
import { readNdjson } from '../lib/ndjson.ts';
import { Store } from '../lib/store.ts';
import type { Live, OpenRoom } from '../live.ts';
import { Buckets } from './buckets.ts';
import { ProcessLists } from './processLists.ts';
import type { Rows } from './rows.ts';
import { SampleStore } from './samples.ts';

export interface Member {
  user: string;
  kind: 'agent' | 'user';
  name: string;
}

const batchRows = 240;
const retryMs = 5_000;
const maxRetries = 4;
/** Windows from here on are drawn as buckets: a sample would be less than a pixel wide. */
const longMs = 900_000;
const bucketPoints = 600;
const minuteMs = 60_000;
/** What the charts and the tables of a long window show. */
const seriesNames = [
  ...['cpu.*', 'memory.total', 'memory.used', 'memory.cached', 'swap.*', 'load.1', 'pressure.*.some'],
  ...['net.*.receive', 'net.*.transmit', 'disk.*.read', 'disk.*.write', 'disk.*.busy', 'fs.*.used', 'fs.*.total'],
  ...['temperature.*', 'tcp.*'],
].join(',');

export class HostRoom {
  readonly samples = new SampleStore();
  readonly buckets = new Buckets(this.samples);
  /** What a long window is drawn from; null: samples. */
  readonly resolution = new Store<Pick<Series, 'tier' | 'step'> | null>(null);
  readonly state = new Store<HostState | null>(null);
  readonly members = new Store<readonly Member[]>([]);
  readonly processes: ProcessLists;
  /** Whether the history of the window is on its way. */
  readonly filling = new Store(true);
  /** Set when the room is closed to this person or gone. */
  readonly ended = new Store<number | null>(null);
  readonly hostId: string;
  readonly #live: Live;
  readonly #room: OpenRoom;
  readonly #clients = new Map<string, Member>();
  readonly #closed = new AbortController();
  readonly #aborts = new Set<AbortController>();
  readonly #retry = new Set<ReturnType<typeof setTimeout>>();
  /** From when on the samples were asked for. */
  #reachesBack = Infinity;
  /** The end of what the hub made buckets of. */
  #edge = 0;
  #windowMs: number;

  constructor(live: Live, hostId: string, windowMs: number) {
    this.#live = live;
    this.hostId = hostId;
    this.#windowMs = windowMs;
    this.processes = new ProcessLists((from, to) => this.#readProcesses(from, to));
    this.#room = live.open(
      hostRoom(hostId),
      {
        publication: (data) => this.#take(data as Sample | Processes | Fleet),
        subscribed: (data, recovered) => this.#subscribed(data as HostState | undefined, recovered),
        ended: (code) => this.ended.set(code),
        joined: (info) => this.#join(info),
        left: (info) => this.#leave(info),
      },
      true,
    );
  }

  close(): void {
    this.#room.close();
    this.buckets.close();
    this.processes.close();
    this.#closed.abort();
    for (const abort of this.#aborts) abort.abort();
    for (const timer of this.#retry) clearTimeout(timer);
  }

  /** What the window shows: samples, or buckets of them where it is long. */
  rows = (): Rows => (this.#windowMs >= longMs ? this.buckets : this.samples);

  /** Makes sure that a window of this length is filled. */
  need(windowMs: number): void {
    const before = this.#windowMs;
    this.#windowMs = windowMs;
    // Before the first subscription nothing is asked for; it fills the window then.
    if (this.#reachesBack === Infinity) return;
    if (windowMs >= longMs) {
      if (windowMs !== before) void this.#readLong();
      return;
    }
    this.resolution.set(null);
    const from = Math.floor(this.#live.now() - windowMs - 2_000);
    if (from >= this.#reachesBack) return;
    const to = this.#reachesBack;
    this.#reachesBack = from;
    void this.fill(from, to);
  }

  /** Samples of this range came late: what is drawn there is fetched anew. */
  refill(from: number, to: number): void {
    if (to > this.#reachesBack) void this.fill(Math.max(from, this.#reachesBack), to);
    if (this.#windowMs >= longMs && from < this.#edge) void this.#readLong();
  }

  /** The past of a long window in buckets, the newest minute in samples. */
  #readLong(): Promise<void> {
    return this.#busy(async (signal) => {
      const windowMs = this.#windowMs;
      const now = this.#live.now();
      // A whole minute is a border of all steps that such windows have.
      const edge = Math.floor((now - 5_000) / minuteMs) * minuteMs;
      const from = Math.floor((now - windowMs) / minuteMs) * minuteMs;
      const to = this.#reachesBack === Infinity ? Math.ceil(now) + 5_000 : this.#reachesBack;
      const newest = edge < to ? this.fill(edge, to) : undefined;
      this.#reachesBack = Math.min(this.#reachesBack, edge);
      const series = await this.#readSeries(from, edge, signal);
      if (windowMs !== this.#windowMs || signal.aborted) return;
      if (series) {
        this.#setBuckets(series, edge);
        await newest;
        await this.#fillLast(series.step);
      } else {
        // Without buckets of the hub all are made here.
        const step = Math.ceil(windowMs / bucketPoints / 1_000) * 1_000;
        this.#setBuckets({ tier: 'raw', step, at: [], series: {} }, from);
        const before = this.#reachesBack;
        this.#reachesBack = Math.min(before, from);
        if (from < before) await this.fill(from, before);
      }
    });
  }

  /** Undefined when the hub does not answer. */
  async #readSeries(from: number, to: number, signal: AbortSignal): Promise<Series | undefined> {
    const query = new URLSearchParams({ metrics: seriesNames, from: `${from}`, to: `${to}`, points: `${bucketPoints}` });
    try {
      return await call<Series>('GET', `/hosts/${this.hostId}/series?${query.toString()}`, undefined, undefined, signal);
    } catch (error) {
      if (!signal.aborted) console.warn('The history could not be read as series; reading samples.', error);
      return undefined;
    }
  }

  #setBuckets(series: Series, edge: number): void {
    this.#edge = edge;
    this.buckets.set(series, edge);
    this.resolution.set({ tier: series.tier, step: series.step });
  }

  /** Of an agent that is away the last figures are what is known. */
  async #fillLast(stepMs: number): Promise<void> {
    const { at, length } = this.buckets;
    if (this.samples.length === 0 && length > 0) await this.fill(at[length - 1]! - 15_000, at[length - 1]! + stepMs);
  }

  /** Shows as long as it runs that something is on its way. */
  async #busy(run: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const abort = new AbortController();
    this.#aborts.add(abort);
    this.filling.set(true);
    try {
      await run(abort.signal);
    } finally {
      this.#aborts.delete(abort);
      if (this.#aborts.size === 0) this.filling.set(false);
    }
  }

  /** Fetches what the hub has between two times; samples known already are ignored. */
  fill(from: number, to: number): Promise<void> {
    return this.#busy(async (signal) => {
      try {
        let batch: Sample[] = [];
        await readNdjson<Sample>(await stream(`/hosts/${this.hostId}/samples?from=${from}&to=${to}`, signal), (samples) => {
          batch.push(...samples);
          if (batch.length < batchRows) return;
          this.samples.add(batch);
          batch = [];
        });
        this.samples.add(batch);
      } catch (error) {
        if (!signal.aborted) this.#fillLater(from, to, error);
      }
    });
  }

  /** Until then the strips show the hole. */
  #fillLater(from: number, to: number, reason: unknown): void {
    console.warn('The history could not be read; asking again.', reason);
    if (this.#retry.size < maxRetries) {
      const timer = setTimeout(() => {
        this.#retry.delete(timer);
        void this.fill(from, to);
      }, retryMs);
      this.#retry.add(timer);
    }
  }

  #take(data: Sample | Processes | { kind: string }): void {
    if (data.kind === 'sample') this.samples.add([data as Sample]);
    else if (data.kind === 'processes') this.processes.add(data as Processes);
  }

  async #readProcesses(from: number, to: number): Promise<Processes[]> {
    const lists: Processes[] = [];
    const body = await stream(`/hosts/${this.hostId}/samples?kind=processes&from=${from}&to=${to}`, this.#closed.signal);
    await readNdjson<Processes | { kind: 'fault' }>(body, (some) => {
      for (const one of some) if (one.kind === 'processes') lists.push(one);
    });
    return lists;
  }

  #subscribed(state: HostState | undefined, recovered: boolean): void {
    this.ended.set(null);
    if (state) {
      this.state.set(state);
      if (state.processes) this.processes.add(state.processes);
    }
    void this.#readMembers();
    if (!recovered) this.#fillSinceLast();
    // Last, so that the hole before it is being filled already.
    if (state?.sample) this.samples.add([state.sample]);
  }

  #fillSinceLast(): void {
    const now = this.#live.now();
    const newest = this.samples.latest?.at;
    const isLong = this.#windowMs >= longMs;
    const back = Math.floor(now - (isLong ? minuteMs : this.#windowMs) - 2_000);
    if (newest !== undefined && newest >= back) void this.fill(newest + 1, Math.ceil(now) + 5_000);
    else if (isLong) {
      // What lies between is read with the past.
      this.#reachesBack = Infinity;
      void this.#readLong();
    } else {
      this.#reachesBack = back;
      void this.fill(back, Math.ceil(now) + 5_000);
    }
  }

  async #readMembers(): Promise<void> {
    try {
      const all = await this.#room.presence();
      this.#clients.clear();
      for (const info of all) this.#clients.set(info.client, memberOf(info));
      this.#showMembers();
    } catch {
      // Joins and leaves go on telling; a room over the limit has no list.
    }
  }

  #join(info: ClientInfo): void {
    this.#clients.set(info.client, memberOf(info));
    this.#showMembers();
  }

  #leave(info: ClientInfo): void {
    this.#clients.delete(info.client);
    this.#showMembers();
  }

  /** One entry per person, however many windows are open. */
  #showMembers(): void {
    const byUser = new Map([...this.#clients.values()].map((member) => [`${member.kind}:${member.user}`, member]));
    this.members.set([...byUser.values()].sort((a, b) => a.name.localeCompare(b.name)));
  }
}

function memberOf(info: ClientInfo): Member {
  const known = info.conn_info as { kind?: unknown; name?: unknown } | undefined;
  return {
    user: info.user,
    kind: known?.kind === 'agent' ? 'agent' : 'user',
    name: typeof known?.name === 'string' ? known.name : 'someone',
  };
}
