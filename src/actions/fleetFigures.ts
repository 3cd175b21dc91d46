/** Makes the figures of a host's summary out of its samples. */

import type { HostSummary, Sample } from '../protocol/kinds.ts';

type MetricRole = 'receive' | 'transmit' | 'disk' | 'sensor' | 'none';

/** Which names make a figure of the summary. */
const roles: readonly [MetricRole, RegExp][] = [
  ['receive', /^net\.(?!lo\.).+\.receive$/],
  ['transmit', /^net\.(?!lo\.).+\.transmit$/],
  ['disk', /^fs\..+\.total$/],
  ['sensor', /^temperature\./],
];

export class FleetFigures {
  readonly #kinds = new Map<string, MetricRole>();

  /** Without those that a sample does not have every time: they stay as they are. */
  of({ at, metrics }: Sample): Partial<HostSummary> {
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
