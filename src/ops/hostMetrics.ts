/** The newest sample of each connected host as Prometheus text. */

import { lookUp, prometheusName } from '../protocol/metrics.ts';

export interface ExportedHost {
  id: string;
  name: string;
  group: string;
  /** Of the newest sample; undefined before the first. */
  metrics: Readonly<Record<string, number>> | undefined;
}

/**
 * Text in the exposition format: `hostroom_host_info{host,name,group} 1` and each metric of the catalogue as
 * `hostroom_host_<metric>{host,device}`. Names outside the catalogue are left out: they would be unbounded.
 */
export function hostMetrics(hosts: Iterable<ExportedHost>): string {
  const info = ['# HELP hostroom_host_info Hosts whose agent is connected to this replica.', '# TYPE hostroom_host_info gauge'];
  const families = new Map<string, string[]>();
  for (const host of hosts) {
    info.push(`hostroom_host_info{host="${escape(host.id)}",name="${escape(host.name)}",group="${escape(host.group)}"} 1`);
    // Two names may tell of one device, encoded differently; a page with a series twice is not valid.
    const told = new Set<string>();
    for (const [name, value] of Object.entries(host.metrics ?? {})) {
      const known = lookUp(name);
      if (!known) continue;
      const exported = prometheusName(known.metric);
      const series = `${exported} ${known.device}`;
      if (told.has(series)) continue;
      told.add(series);
      let lines = families.get(exported);
      if (!lines) {
        const unit = known.metric.unit === 'count' ? '' : `, in ${known.metric.unit}`;
        lines = [`# HELP ${exported} ${known.metric.title}${unit}.`, `# TYPE ${exported} gauge`];
        families.set(exported, lines);
      }
      const device = known.device === undefined ? '' : `,device="${escape(known.device)}"`;
      lines.push(`${exported}{host="${escape(host.id)}"${device}} ${value}`);
    }
  }
  return [...info, ...[...families.values()].flat(), ''].join('\n');
}

const escape = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
