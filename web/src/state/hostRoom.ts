/** The live half of a host's room: its samples without a hole, its state, who is in it. */

import type { ClientInfo } from '../../../src/protocol/commands.ts';
import type { Fleet, HostState, Processes, Sample } from '../../../src/protocol/kinds.ts';
import { hostRoom } from '../../../src/protocol/rooms.ts';
import { stream } from '../api.ts';
import { readNdjson } from '../lib/ndjson.ts';
import { Store } from '../lib/store.ts';
import type { Live, OpenRoom } from '../live.ts';
import { SampleStore } from './samples.ts';

export interface Member {
  user: string;
  kind: 'agent' | 'user';
  name: string;
}

/** An hour at one list per ten seconds. */
const keptProcesses = 360;
const batchRows = 240;
const retryMs = 5_000;
const maxRetries = 4;

export class HostRoom {
  readonly samples = new SampleStore();
  readonly state = new Store<HostState | null>(null);
  readonly members = new Store<readonly Member[]>([]);
  /** Ascending by time. */
  readonly processes = new Store<readonly Processes[]>([]);
  /** Whether the history of the window is on its way. */
  readonly filling = new Store(true);
  /** Set when the room is closed to this person or gone. */
  readonly ended = new Store<number | null>(null);
  readonly hostId: string;
  readonly #live: Live;
  readonly #room: OpenRoom;
  readonly #clients = new Map<string, Member>();
  readonly #aborts = new Set<AbortController>();
  readonly #retry = new Set<ReturnType<typeof setTimeout>>();
  /** From when on the history was asked for. */
  #reachesBack = Infinity;
  #windowMs: number;

  constructor(live: Live, hostId: string, windowMs: number) {
    this.#live = live;
    this.hostId = hostId;
    this.#windowMs = windowMs;
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
    for (const abort of this.#aborts) abort.abort();
    for (const timer of this.#retry) clearTimeout(timer);
  }

  /** Makes sure that a window of this length is filled. */
  need(windowMs: number): void {
    this.#windowMs = windowMs;
    const from = Math.floor(this.#live.now() - windowMs - 2_000);
    if (this.#reachesBack === Infinity || from >= this.#reachesBack) return;
    const to = this.#reachesBack;
    this.#reachesBack = from;
    void this.fill(from, to);
  }

  /** Fetches what the hub has between two times; samples known already are ignored. */
  async fill(from: number, to: number): Promise<void> {
    const abort = new AbortController();
    this.#aborts.add(abort);
    this.filling.set(true);
    try {
      let batch: Sample[] = [];
      await readNdjson<Sample>(await stream(`/hosts/${this.hostId}/samples?from=${from}&to=${to}`, abort.signal), (samples) => {
        batch.push(...samples);
        if (batch.length < batchRows) return;
        this.samples.add(batch);
        batch = [];
      });
      this.samples.add(batch);
    } catch (error) {
      if (!abort.signal.aborted) this.#fillLater(from, to, error);
    } finally {
      this.#aborts.delete(abort);
      if (this.#aborts.size === 0) this.filling.set(false);
    }
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
    else if (data.kind === 'processes') this.#addProcesses(data as Processes);
  }

  #addProcesses(list: Processes): void {
    this.processes.update((all) =>
      all.some((one) => one.at === list.at) ? all : [...all, list].sort((a, b) => a.at - b.at).slice(-keptProcesses),
    );
  }

  #subscribed(state: HostState | undefined, recovered: boolean): void {
    this.ended.set(null);
    if (state) {
      this.state.set(state);
      if (state.processes) this.#addProcesses(state.processes);
    }
    void this.#readMembers();
    if (!recovered) this.#fillSinceLast();
    // Last, so that the hole before it is being filled already.
    if (state?.sample) this.samples.add([state.sample]);
  }

  #fillSinceLast(): void {
    const now = this.#live.now();
    const newest = this.samples.latest?.at;
    const back = Math.floor(now - this.#windowMs - 2_000);
    const from = newest === undefined ? back : Math.max(back, newest + 1);
    this.#reachesBack = Math.min(this.#reachesBack, from);
    void this.fill(from, Math.ceil(now) + 5_000);
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

/** The newest list at or before `at`, not older than a minute. */
export function processesAt(lists: readonly Processes[], at: number | null): Processes | undefined {
  if (at === null) return lists.at(-1);
  const found = lists.findLast((list) => list.at <= at + 1_000);
  return found && at - found.at <= 60_000 ? found : undefined;
}
