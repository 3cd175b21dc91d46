/** Keeps the newest figures of every host with an agent on any replica, told to the fleet rooms once a second. */

import type { HostNow } from '../data/presence.ts';
import type { Hub } from '../hub/hub.ts';
import type { Clock } from '../lib/clock.ts';
import { JsonText } from '../lib/json.ts';
import type { Fleet, HostSummary, Sample } from '../protocol/kinds.ts';
import { fleetRoom } from '../protocol/rooms.ts';
import type { RelayRecord } from '../relay/relay.ts';
import { FleetFigures } from './fleetFigures.ts';
import { parseFleetRecord, unknownSummary, type FleetRecord } from './fleetRecord.ts';

/** Seconds of `cpu.busy` kept for sparklines. */
const cpuSeconds = 60;
/** Hosts in one record between replicas. */
const perRecord = 250;

export interface FleetOptions {
  hub: Pick<Hub, 'deliver'>;
  clock: Clock;
  /** Where other replicas may hold agents too. */
  others?: FleetOthers;
  everyMs?: number;
  /** Every host is told again after so long, changed or not. */
  repeatMs?: number;
}

export interface FleetOthers {
  /** Whether the host's agent is connected to this replica. */
  isHere(host: string): boolean;
  /** Tells all other replicas; may get lost. */
  tell(record: RelayRecord): void;
  /** A record was not what a replica of this hub sends. */
  dropped(): void;
}

interface Known {
  group: string;
  summary: HostSummary;
  /** Since the last telling of the fleet room. */
  isChanged: boolean;
  /** Since the last telling of the other replicas, which is ours to do. */
  isNews: boolean;
  /** `performance.now()` of the last telling of the fleet room. */
  toldMs: number;
  /** `performance.now()` of the last word about it. */
  heardMs: number;
  /** `cpu.busy` by second: index = second modulo `cpuSeconds`. */
  cpu: Float64Array;
  /** The second, since 1970, of each entry in `cpu`. */
  seconds: Float64Array;
}

export interface RecentCpu {
  /** Time of the last value, ms since 1970 UTC. */
  at: number;
  /** One per second, oldest first; null where there is none. */
  values: (number | null)[];
}

export class FleetBoard {
  readonly #options: FleetOptions;
  readonly #everyMs: number;
  readonly #repeatMs: number;
  readonly #hosts = new Map<string, Known>();
  readonly #figures = new FleetFigures();
  /** By group, since its last telling. */
  readonly #states = new Map<string, { hosts: readonly HostNow[]; text: JsonText }>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#everyMs = options.everyMs ?? 1_000;
    this.#repeatMs = options.repeatMs ?? 30_000;
  }

  start(): void {
    this.#timer = setInterval(() => this.tell(), this.#everyMs).unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** Takes a live sample in; of one that was sent again, older than what other replicas told, only its place in the trail of CPU. */
  observe(host: string, group: string, sample: Sample): void {
    const known = this.#know(host, group);
    const figures = this.#figures.of(sample);
    if (known.summary.at !== null && sample.at < known.summary.at) return trace(known, sample.at, figures.cpu);
    this.#take(known, { ...known.summary, ...figures, status: 'online' });
    known.isNews = true;
  }

  status(host: string, group: string, online: boolean): void {
    const known = this.#know(host, group);
    this.#take(known, { ...known.summary, status: online ? 'online' : 'offline' });
    known.isNews = true;
  }

  /** The host was deleted. */
  forget(host: string): void {
    this.#hosts.delete(host);
  }

  /** The room's full state as text: for the same hosts made once between two tellings, however many enter. */
  state(group: string, hosts: readonly HostNow[], make: () => Fleet): JsonText {
    let known = this.#states.get(group);
    if (known?.hosts !== hosts) this.#states.set(group, (known = { hosts, text: new JsonText(JSON.stringify(make())) }));
    return known.text;
  }

  /** The newest figures, where an agent of the host was on any replica since the start. */
  summary(host: string): HostSummary | undefined {
    return this.#hosts.get(host)?.summary;
  }

  recentCpu(host: string): RecentCpu | null {
    const known = this.#hosts.get(host);
    if (!known || known.summary.at === null) return null;
    const last = Math.floor(known.summary.at / 1000);
    const values = Array.from({ length: cpuSeconds }, (_, index) => {
      const second = last - cpuSeconds + 1 + index;
      const value = known.seconds[second % cpuSeconds] === second ? known.cpu[second % cpuSeconds]! : NaN;
      return Number.isNaN(value) ? null : value;
    });
    return { at: known.summary.at, values };
  }

  /** Tells all other replicas of all hosts here, and asks the same of them: something may have got lost. */
  tellAnew(): void {
    this.#options.others?.tell({ data: JSON.stringify({ asks: true } satisfies FleetRecord) });
    this.#allNews();
  }

  /** Takes what another replica tells of its hosts. */
  hear({ data }: RelayRecord): void {
    const { others } = this.#options;
    const record = parseFleetRecord(data);
    if (!record) return others?.dropped();
    if (record.asks) this.#allNews();
    for (const [host, { group, summary }] of Object.entries(record.hosts ?? {})) {
      // Of an agent that is here nobody knows more.
      if (!others?.isHere(host)) this.#hear(this.#know(host, group), summary);
    }
  }

  /** The hosts whose agent is not here, with the time of their newest figures and how long nobody told of them. */
  *elsewhere(): Generator<{ host: string; at: number | null; silentMs: number }> {
    const nowMs = performance.now();
    for (const [host, { summary, heardMs }] of this.#hosts)
      if (!this.#options.others?.isHere(host)) yield { host, at: summary.at, silentMs: nowMs - heardMs };
  }

  /** Takes PostgreSQL's word for a host elsewhere; without one it is no more. */
  stored(host: string, row: (HostNow & { group: string }) | undefined): void {
    if (this.#options.others?.isHere(host)) return;
    if (!row) return void this.#hosts.delete(host);
    const known = this.#know(host, row.group);
    const at = Math.max(known.summary.at ?? 0, row.lastSampleAt ?? 0) || null;
    const status = row.online ? 'online' : at === null ? 'never' : 'offline';
    this.#take(known, { ...known.summary, status, at });
  }

  /** Takes in a sample that another replica got and could not tell of. */
  sampled(host: string, sample: Sample): void {
    const known = this.#hosts.get(host);
    if (known && sample.at > (known.summary.at ?? 0))
      this.#take(known, { ...known.summary, ...this.#figures.of(sample), status: 'online' });
  }

  /** Tells the fleet rooms here what changed, one publication per group, and the other replicas what changed here. */
  tell(): void {
    const nowMs = performance.now();
    const groups = new Map<string, string[]>();
    let news: string[] = [];
    const flushNews = (): void => {
      if (news.length > 0) this.#options.others?.tell({ data: `{"hosts":{${news.join(',')}}}` });
      news = [];
    };
    for (const [host, known] of this.#hosts) {
      const isDue = known.isChanged || nowMs - known.toldMs >= this.#repeatMs - this.#everyMs;
      const isNews = this.#options.others !== undefined && (known.isNews || (isDue && this.#options.others.isHere(host)));
      if (!isDue && !isNews) continue;
      const text = JSON.stringify(known.summary);
      if (isNews) {
        known.isNews = false;
        if (news.push(`"${host}":{"group":"${known.group}","summary":${text}}`) === perRecord) flushNews();
      }
      if (!isDue) continue;
      known.isChanged = false;
      known.toldMs = nowMs;
      const hosts = groups.get(known.group);
      if (hosts) hosts.push(`"${host}":${text}`);
      else groups.set(known.group, [`"${host}":${text}`]);
    }
    flushNews();
    const at = this.#options.clock.now();
    for (const [group, hosts] of groups) {
      this.#states.delete(group);
      this.#options.hub.deliver(fleetRoom(group), { data: `{"kind":"fleet","at":${at},"hosts":{${hosts.join(',')}}}` });
    }
  }

  #hear(known: Known, heard: HostSummary): void {
    const { summary } = known;
    const isOlder = summary.at !== null && (heard.at === null || heard.at < summary.at);
    if (!isOlder) this.#take(known, heard);
    // Whoever tells that an agent came or left may not have its last sample.
    else if (heard.at === null || heard.status !== 'online') this.#take(known, { ...summary, status: heard.status });
    known.isNews = false;
  }

  #take(known: Known, summary: HostSummary): void {
    const before = known.summary;
    known.heardMs = performance.now();
    known.isChanged ||= (Object.keys(summary) as (keyof HostSummary)[]).some((key) => summary[key] !== before[key]);
    known.summary = summary;
    if (summary.at !== null && summary.at !== before.at) trace(known, summary.at, summary.cpu);
  }

  #allNews(): void {
    for (const [host, known] of this.#hosts) if (this.#options.others?.isHere(host)) known.isNews = true;
  }

  #know(host: string, group: string): Known {
    let known = this.#hosts.get(host);
    if (!known) {
      const cpu = new Float64Array(cpuSeconds);
      const seconds = new Float64Array(cpuSeconds);
      known = { group, summary: unknownSummary, isChanged: true, isNews: false, toldMs: 0, heardMs: performance.now(), cpu, seconds };
      this.#hosts.set(host, known);
    }
    known.group = group;
    return known;
  }
}

/** Puts a value into the trail of CPU, unless a later one has its place. */
function trace({ cpu, seconds }: Known, at: number, value: number | null | undefined): void {
  const second = Math.floor(at / 1000);
  const place = second % cpuSeconds;
  if (seconds[place]! > second) return;
  cpu[place] = value ?? NaN;
  seconds[place] = second;
}
