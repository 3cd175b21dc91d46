/** Tells how far back each tier of history reaches. */

import type { Sql } from '../db/database.ts';
import { tiers } from './tiers.ts';
import type { Tier } from './tiers.ts';

const tables: Record<Tier | 'hot', [table: string, time: string]> = {
  hot: ['sample_hot', 'at'],
  raw: [tiers.raw.table, 'minute'],
  '10s': [tiers['10s'].table, 'at'],
  '1m': [tiers['1m'].table, 'at'],
  '1h': [tiers['1h'].table, 'at'],
};

/** The oldest of any host in a tier, milliseconds since 1970 UTC; null where it is empty. Looks each host up in the index. */
export async function readOldest(sql: Sql, tier: Tier | 'hot'): Promise<number | null> {
  const [table, time] = tables[tier];
  const [row] = await sql<[{ oldest: number | null }]>`
    select (extract(epoch from min(first.time)) * 1000)::float8 as oldest
    from host, lateral (
      select ${sql(time)} as time from ${sql(table)} stored
      where stored.host = host.id ${tier === 'hot' || tier === 'raw' ? sql`and kind = 'sample'` : sql``}
      order by stored.${sql(time)} limit 1
    ) first`;
  return row.oldest;
}
