/** Reads what PostgreSQL holds of hosts, as the product reads it and as SQL counts it. */

import { readRaw } from '../../../src/data/history.ts';
import { MetricNames } from '../../../src/data/metricNames.ts';
import type { Pool } from '../../../src/db/database.ts';
import type { Stored } from './checker.ts';

/** All samples of these hosts, out of chunks and hot rows. Throws where a chunk cannot be read. */
export async function readStored(sql: Pool, hosts: readonly string[]): Promise<Stored[]> {
  const stored: Stored[] = [];
  const parts = {
    sql,
    names: new MetricNames(),
    corrupt: (error: Error) => {
      throw error;
    },
  };
  for (const host of hosts) {
    // oxlint-disable-next-line no-await-in-loop -- one host after the other, as a person would ask
    for await (const page of readRaw(parts, { host, fromMs: 0, toMs: Date.now() + 86_400_000 })) {
      for (const { boot, seq, at } of page) stored.push({ host, boot, seq, at });
    }
  }
  return stored;
}

/** How many samples the tables hold of these hosts; a minute may be there as rows, as a chunk, or as both. */
export async function countStored(sql: Pool, hosts: readonly string[]): Promise<number> {
  const list = `{${hosts.join(',')}}`;
  type Count = { key: string; n: number };
  const rows = await sql<Count[]>`
    select host || ' ' || date_trunc('minute', at) as key, count(*)::int as n from sample_hot
    where kind = 'sample' and host = any(${list}::text::uuid[]) group by host, date_trunc('minute', at)`;
  const chunks = await sql<Count[]>`
    select host || ' ' || minute as key, n from sample_chunk where kind = 'sample' and host = any(${list}::text::uuid[])`;
  const minutes = new Map<string, number>();
  for (const { key, n } of [...rows, ...chunks]) minutes.set(key, Math.max(n, minutes.get(key) ?? 0));
  return minutes.values().reduce((sum, n) => sum + n, 0);
}
