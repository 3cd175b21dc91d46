/** What the hosts of this replica measure, under hostroom's own names. */

import { prometheusName } from '../protocol/metrics.ts';
import { Page } from './exposition.ts';
import { isFresh, type HostSeries, type Reading } from './hostSeries.ts';

export interface ExportedHost {
  id: string;
  name: string;
  group: string;
  /** The newest; undefined before the first. */
  sample: Reading | undefined;
}

const gauge = 'gauge';
const info = { help: 'Hosts whose agent is connected to this replica.', type: gauge } as const;

/**
 * Text in the exposition format: `hostroom_host_info{host,name,group} 1` and each metric of the catalogue as
 * `hostroom_host_<metric>{host,device}`. Names outside the catalogue are left out: they would be unbounded.
 */
export function hostMetrics(hosts: Iterable<ExportedHost>, known: ReadonlyMap<string, HostSeries>): string {
  const page = new Page();
  for (const { id, name, group } of hosts) {
    page.add('hostroom_host_info', info, { host: id, name, group }, 1);
    const host = known.get(id);
    if (!host) continue;
    for (const { metric, device, value, at } of host.series.values()) {
      if (!isFresh(host, at)) continue;
      const unit = metric.unit === 'count' ? '' : `, in ${metric.unit}`;
      page.add(prometheusName(metric), { help: `${metric.title}${unit}.`, type: gauge }, { host: id, device }, value);
    }
  }
  page.add(
    'hostroom_host_series',
    { help: 'Series of hosts on this page, those of hostroom_host_info included.', type: gauge },
    {},
    page.size,
  );
  return page.text();
}
