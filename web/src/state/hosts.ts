/** All hosts one may see, with their newest figures and the CPU trail of the last minute. */

import type { Fleet, HostSummary } from '../../../src/protocol/kinds.ts';
import type { Host, Hosts as HostsPage } from '../../../src/protocol/rest.ts';
import { fleetRoom } from '../../../src/protocol/rooms.ts';
import { call, Problem } from '../api.ts';
import { Store } from '../lib/store.ts';
import type { Live, OpenRoom } from '../live.ts';

export interface HostsState {
  /** In the order of their groups and names. */
  hosts: readonly Host[];
  ready: boolean;
  failed: string | null;
}

export const trailSeconds = 60;
const refreshEveryMs = 60_000;

/** The last minute of a figure, one value per second; NaN where there was none. */
export class Trail {
  readonly values = new Float32Array(trailSeconds).fill(NaN);
  #second = 0;

  add(at: number, value: number | null): void {
    const second = Math.floor(at / 1000);
    const steps = second - this.#second;
    if (steps < 0) return;
    if (steps >= trailSeconds) this.values.fill(NaN);
    else if (steps > 0) {
      // A frame covers a second or two; the values between two frames are those of the newer.
      this.values.copyWithin(0, steps);
      this.values.fill(steps <= 3 ? (value ?? NaN) : NaN, trailSeconds - steps);
    }
    this.values[trailSeconds - 1] = value ?? NaN;
    this.#second = second;
  }

  /** Takes a value of the past where there is none yet. */
  fill(at: number, value: number): void {
    const second = Math.floor(at / 1000);
    if (second > this.#second) return this.add(at, value);
    const index = trailSeconds - 1 - (this.#second - second);
    if (index >= 0 && Number.isNaN(this.values[index])) this.values[index] = value;
  }
}

const byPlace = (a: Host, b: Host): number =>
  a.group.name.localeCompare(b.group.name) || a.name.localeCompare(b.name, undefined, { numeric: true }) || (a.id < b.id ? -1 : 1);

export class HostList extends Store<HostsState> {
  readonly #live: Live;
  readonly #trails = new Map<string, Trail>();
  readonly #rooms = new Map<string, OpenRoom>();
  readonly #asked = new Set<string>();
  readonly #filled = new Set<string>();
  #reading: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #stopFollowing: () => void;

  constructor(live: Live) {
    super({ hosts: [], ready: false, failed: null });
    this.#live = live;
    this.#timer = setInterval(() => void this.refresh(), refreshEveryMs);
    // What was missed while the line was down; the first time nothing was.
    let wasConnected = false;
    this.#stopFollowing = live.connection.follow(() => {
      if (live.connection.get() !== 'connected') return;
      if (wasConnected || this.get().failed !== null) void this.refresh();
      wasConnected = true;
    });
    void this.refresh();
  }

  close(): void {
    this.#stopFollowing();
    clearInterval(this.#timer);
    for (const room of this.#rooms.values()) room.close();
  }

  trail(id: string): Trail {
    let trail = this.#trails.get(id);
    if (!trail) this.#trails.set(id, (trail = new Trail()));
    return trail;
  }

  find(id: string): Host | undefined {
    return this.get().hosts.find((host) => host.id === id);
  }

  /** Reads the whole list anew; calls during a reading share one more after it. */
  refresh(): Promise<void> {
    if (!this.#reading) {
      this.#reading = this.#read().finally(() => {
        this.#reading = undefined;
      });
      return this.#reading;
    }
    this.#next ??= this.#reading.then(() => {
      this.#next = undefined;
      return this.refresh();
    });
    return this.#next;
  }

  async #read(): Promise<void> {
    try {
      const hosts: Host[] = [];
      let after: string | null = null;
      do {
        const page: HostsPage = await call<HostsPage>(
          'GET',
          `/hosts?limit=200${after === null ? '' : `&after=${encodeURIComponent(after)}`}`,
        );
        hosts.push(...page.items);
        after = page.next;
      } while (after !== null);
      for (const host of hosts) this.#fillTrail(host);
      this.set({ hosts: hosts.sort(byPlace), ready: true, failed: null });
      this.#followGroups(hosts);
    } catch (error) {
      if (error instanceof Problem && error.status === 401) return;
      this.update((state) => ({ ...state, failed: error instanceof Error ? error.message : String(error) }));
    }
  }

  /** Also follows groups that have no host yet, so that the first one shows by itself. */
  followGroup(id: string): void {
    if (this.#rooms.has(id)) return;
    this.#rooms.set(
      id,
      this.#live.open(fleetRoom(id), {
        publication: (data) => this.#take(data as Fleet),
        subscribed: (data) => data !== undefined && this.#take(data as Fleet),
      }),
    );
  }

  rename(id: string, name: string): void {
    this.update((state) => ({ ...state, hosts: state.hosts.map((host) => (host.id === id ? { ...host, name } : host)).sort(byPlace) }));
  }

  remove(id: string): void {
    this.#trails.delete(id);
    this.#filled.delete(id);
    this.update((state) => ({ ...state, hosts: state.hosts.filter((host) => host.id !== id) }));
  }

  #followGroups(hosts: readonly Host[]): void {
    for (const id of new Set(hosts.map((host) => host.group.id))) this.followGroup(id);
  }

  /** Once per host; what came live before the list stays. */
  #fillTrail(host: Host): void {
    if (this.#filled.has(host.id) || !host.recentCpu) return;
    this.#filled.add(host.id);
    const { at, values } = host.recentCpu;
    const trail = this.trail(host.id);
    values.forEach((value, index) => {
      // A second or two without a value is a late sample, as in the live feed.
      const known = value ?? values[index + 1] ?? values[index + 2];
      if (known !== null && known !== undefined) trail.fill(at - (values.length - 1 - index) * 1000, known);
    });
  }

  #take(fleet: Fleet): void {
    if (fleet.kind !== 'fleet') return;
    const known = new Set(this.get().hosts.map((host) => host.id));
    for (const [id, summary] of Object.entries(fleet.hosts)) {
      if (summary.at !== null && summary.status === 'online') this.trail(id).add(summary.at, summary.cpu);
      if (!known.has(id) && this.get().ready && !this.#asked.has(id)) {
        this.#asked.add(id);
        void this.refresh();
      }
    }
    this.update((state) => ({ ...state, hosts: state.hosts.map((host) => withSummary(host, fleet.hosts[host.id])) }));
  }
}

function withSummary(host: Host, summary: HostSummary | undefined): Host {
  if (!summary) return host;
  return { ...host, status: summary.status, lastSampleAt: summary.at ?? host.lastSampleAt, summary };
}
