/** Stores samples as the hub would have after a while: chunks with their rollups, without waiting for the sealer. */

import { encodeRollups, joinRollups, rollUp } from '../../src/chunks/rollups.ts';
import type { RollupBlock } from '../../src/chunks/rollups.ts';
import { encodeChunk, toColumns } from '../../src/chunks/samples.ts';
import type { ChunkSample } from '../../src/chunks/samples.ts';
import { putChunks } from '../../src/data/chunks.ts';
import type { MetricNames } from '../../src/data/metricNames.ts';
import { putRollups } from '../../src/data/rollups.ts';
import { hourMs, minuteMs } from '../../src/data/tiers.ts';
import type { Sql } from '../../src/db/database.ts';

const floor = (at: number, step: number): number => Math.floor(at / step) * step;
const perStatement = 500;

/** As rows that wait to be sealed. */
export async function storeHot(sql: Sql, host: string, samples: readonly ChunkSample[]): Promise<void> {
  await sql`
    insert into sample_hot (host, kind, at, boot, seq, frame)
    select ${host}, 'sample', to_timestamp(at / 1000), boot, seq, convert_to(frame, 'UTF8')
    from unnest(
      ${samples.map(({ at }) => at)}::float8[], ${samples.map(({ boot }) => boot)}::uuid[], ${samples.map(({ seq }) => seq)}::bigint[],
      ${samples.map(({ at, seq, boot, metrics }) => JSON.stringify({ kind: 'sample', at, seq, boot, metrics }))}::text[]
    ) as given (at, boot, seq, frame)`;
}

/** As chunks, rollups of 10 s and 1 min, and of those hours that `hasHour` names. Minutes that are there are replaced. */
export async function storeSealed(
  sql: Sql,
  names: MetricNames,
  host: string,
  samples: readonly ChunkSample[],
  hasHour: (hour: number) => boolean = () => true,
): Promise<void> {
  const { numberOf, keep } = await names.intern(sql, new Set(samples.flatMap(({ metrics }) => Object.keys(metrics))));
  const minutes = [...Map.groupBy(samples, ({ at }) => floor(at, minuteMs))];
  const blocks: [number, RollupBlock][] = [];
  for (let i = 0; i < minutes.length; i += perStatement) {
    const some = minutes.slice(i, i + perStatement);
    await putChunks(
      sql,
      some.map(([minute, inside]) => ({ host, kind: 'sample', minute, n: inside.length, data: encodeChunk(inside, numberOf) })),
    );
    const rolled = some.map(([at, inside]) => ({ at, columns: toColumns(inside) }));
    await putRollups(
      sql,
      '10s',
      rolled.map(({ at, columns }) => ({ host, at, data: encodeRollups(rollUp(columns, 10_000), numberOf) })),
    );
    const ofMinutes = rolled.map(({ at, columns }): [number, RollupBlock] => [at, rollUp(columns, minuteMs)]);
    await putRollups(
      sql,
      '1m',
      ofMinutes.map(([at, block]) => ({ host, at, data: encodeRollups(block, numberOf) })),
    );
    blocks.push(...ofMinutes);
  }
  const hours = [...Map.groupBy(blocks, ([at]) => floor(at, hourMs))].filter(([hour]) => hasHour(hour));
  const ofHours = hours.map(([at, inside]) => ({
    host,
    at,
    data: encodeRollups(
      joinRollups(
        inside.map(([, block]) => block),
        hourMs,
      ),
      numberOf,
    ),
  }));
  if (ofHours.length > 0) await putRollups(sql, '1h', ofHours);
  keep();
}

/** Says that all minutes before `atMs` are closed and listed. */
export async function setListed(sql: Sql, atMs: number): Promise<void> {
  await sql`update seal_state set closed_until = to_timestamp(${atMs}::float8 / 1000), listed_until = to_timestamp(${atMs}::float8 / 1000)`;
}
