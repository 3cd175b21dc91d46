/** Keeps the newest figures of every host with an agent here, told to the fleet rooms once a second. */

import type { Hub } from '../hub/hub.ts';
import type { Clock } from '../lib/clock.ts';
import type { Fleet, HostSummary, Sample } from '../protocol/kinds.ts';
import { fleetRoom } from '../protocol/rooms.ts';

/** Seconds of `cpu.busy` kept for sparklines. */
const cpuSeconds = 60;
/** Which names make a figure of the summary. */
const roles: readonly [MetricRole, RegExp][] = [
  ['receive', /^net\.(?!lo\.).+\.receive$/],
  ['transmit', /^net\.(?!lo\.).+\.transmit$/],
  ['disk', /^fs\..+\.total$/],
  ['sensor', /^temperature\./],
];

export interface FleetOptions {
  hub: Pick<Hub, 'publish'>;
  clock: Clock;
  everyMs?: number;
  /** Every host with an agent here is told again after so long, changed or not. */
  repeatMs?: number;
}

interface Known {
  group: string;
  summary: HostSummary;
  changed: boolean;
  /** `performance.now()` of the last telling. */
  toldMs: number;
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

/** Of a host that nothing was heard of yet. */
export const unknownSummary: HostSummary = {
  status: 'never',
  at: null,
  cpu: null,
  memory: null,
  disk: null,
  receive: null,
  transmit: null,
  load: null,
  temperature: null,
  uptime: null,
  alerts: 0,
};

export class FleetBoard {
  readonly #options: Required<FleetOptions>;
  readonly #hosts = new Map<string, Known>();
  readonly #kinds = new Map<string, MetricRole>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: FleetOptions) {
    const { everyMs = 1_000, repeatMs = 30_000 } = options;
    this.#options = { ...options, everyMs, repeatMs };
  }

  start(): void {
    this.#timer = setInterval(() => this.tell(), this.#options.everyMs).unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** Takes a live sample in. */
  observe(host: string, group: string, sample: Sample): void {
    const known = this.#know(host, group);
    known.summary = { ...known.summary, ...this.#summarise(sample), status: 'online' };
    known.changed = true;
    const second = Math.floor(sample.at / 1000);
    known.cpu[second % cpuSeconds] = sample.metrics['cpu.busy'] ?? NaN;
    known.seconds[second % cpuSeconds] = second;
  }

  status(host: string, group: string, online: boolean): void {
    const known = this.#know(host, group);
    known.summary = { ...known.summary, status: online ? 'online' : 'offline' };
    known.changed = true;
  }

  /** The host was deleted. */
  forget(host: string): void {
    this.#hosts.delete(host);
  }

  /** The newest figures, where an agent of the host was here since the start. */
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

  /** Publishes what changed, one publication per group. */
  tell(): void {
    const nowMs = performance.now();
    const due = new Map<string, Fleet['hosts']>();
    for (const [host, known] of this.#hosts) {
      const isDue =
        known.changed || (known.summary.status === 'online' && nowMs - known.toldMs >= this.#options.repeatMs - this.#options.everyMs);
      if (!isDue) continue;
      known.changed = false;
      known.toldMs = nowMs;
      let hosts = due.get(known.group);
      if (!hosts) due.set(known.group, (hosts = {}));
      hosts[host] = known.summary;
    }
    const at = this.#options.clock.now();
    for (const [group, hosts] of due) {
      const fleet: Fleet = { kind: 'fleet', at, hosts };
      this.#options.hub.publish(fleetRoom(group), { data: JSON.stringify(fleet) });
    }
  }

  #know(host: string, group: string): Known {
    let known = this.#hosts.get(host);
    if (!known) {
      const cpu = new Float64Array(cpuSeconds);
      known = { group, summary: unknownSummary, changed: true, toldMs: 0, cpu, seconds: new Float64Array(cpuSeconds) };
      this.#hosts.set(host, known);
    }
    known.group = group;
    return known;
  }

  #summarise({ at, metrics }: Sample): Partial<HostSummary> {
    let received = 0;
    let transmitted = 0;
    let fullest: number | null = null;
    let hottest: number | null = null;
    for (const name in metrics) {
      const value = metrics[name]!;
      switch (this.#roleOf(name)) {
        case 'receive':
          received += value;
          break;
        case 'transmit':
          transmitted += value;
          break;
        case 'disk': {
          const used = metrics[`${name.slice(0, -'total'.length)}used`];
          if (used !== undefined && value > 0) fullest = Math.max(fullest ?? 0, used / value);
          break;
        }
        case 'sensor':
          hottest = Math.max(hottest ?? value, value);
          break;
        case 'none':
      }
    }
    const { 'cpu.busy': cpu = null, 'memory.used': used, 'memory.total': total, 'load.1': load = null, uptime = null } = metrics;
    const memory = used !== undefined && total !== undefined && total > 0 ? used / total : null;
    const figures = { at, cpu, memory, receive: received, transmit: transmitted, load, uptime };
    // File systems and sensors are read every 10 s: between, the last figure stands.
    return { ...figures, ...(fullest === null ? {} : { disk: fullest }), ...(hottest === null ? {} : { temperature: hottest }) };
  }

  /** Names repeat every second, so what they mean is looked up, not matched. */
  #roleOf(name: string): MetricRole {
    let role = this.#kinds.get(name);
    if (role === undefined) {
      role = roles.find(([, pattern]) => pattern.test(name))?.[0] ?? 'none';
      if (this.#kinds.size < 20_000) this.#kinds.set(name, role);
    }
    return role;
  }
}

type MetricRole = 'receive' | 'transmit' | 'disk' | 'sensor' | 'none';
