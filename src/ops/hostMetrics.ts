/** What the hosts of this replica measure, under hostroom's own names. */

import { prometheusName, type Metric } from '../protocol/metrics.ts';
import { Page, seriesText, type Family } from './exposition.ts';
import { isFresh, type HostSeries, type Reading } from './hostSeries.ts';
import { turns } from './turns.ts';

export interface ExportedHost {
  id: string;
  name: string;
  group: string;
  /** The newest; undefined before the first. */
  sample: Reading | undefined;
}

const info: Family = { name: 'hostroom_host_info', help: 'Hosts whose agent is connected to this replica.', type: 'gauge' };
const count: Family = {
  name: 'hostroom_host_series',
  help: 'Series of hosts on this page, those of hostroom_host_info included.',
  type: 'gauge',
};
const families = new WeakMap<Metric, Family>();

/**
 * Text in the exposition format, piece by piece: `hostroom_host_info{host,name,group} 1` and each metric of the catalogue as
 * `hostroom_host_<metric>{host,device}`. Names outside the catalogue are left out: they would be unbounded.
 */
export async function* hostMetrics(hosts: readonly ExportedHost[], known: ReadonlyMap<string, HostSeries>): AsyncGenerator<string> {
  const page = new Page();
  for await (const { id, name, group } of turns(hosts)) {
    page.add(info, seriesText(info.name, { host: id, name, group }), 1);
    const host = known.get(id);
    if (!host) continue;
    for (const series of host.series.values()) {
      if (!isFresh(host, series.at)) continue;
      const family = familyOf(series.metric);
      series.ownText ??= seriesText(family.name, { host: id, device: series.device });
      page.add(family, series.ownText, series.value);
    }
  }
  page.add(count, count.name, page.size);
  yield* turns(page.blocks());
}

function familyOf(metric: Metric): Family {
  let family = families.get(metric);
  if (!family) {
    const unit = metric.unit === 'count' ? '' : `, in ${metric.unit}`;
    families.set(metric, (family = { name: prometheusName(metric), help: `${metric.title}${unit}.`, type: 'gauge' }));
  }
  return family;
}
