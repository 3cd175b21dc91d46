/** The same samples stored in other ways, for comparison: one jsonb row each, one row per metric. */

import { insertSamples } from '../../src/data/samples.ts';
import type { SampleRow } from '../../src/data/samples.ts';
import type { Pool } from '../../src/db/database.ts';
import { newId } from '../../src/lib/id.ts';
import { someMetrics } from './samples.ts';

export interface Rival {
  name: string;
  insert(sql: Pool, rows: SampleRow[]): Promise<unknown>;
  tables: string[];
}

export const rivals: Rival[] = [
  { name: 'hostroom (one frame)', insert: insertSamples, tables: ['sample_hot'] },
  {
    name: 'one jsonb row',
    tables: ['rival_jsonb'],
    insert: (sql, rows) => sql`
      insert into rival_jsonb (host, at, data)
      select host, to_timestamp(at / 1000), data::jsonb
      from unnest(${rows.map((row) => row.host)}::uuid[], ${rows.map((row) => row.at)}::float8[], ${rows.map((row) => row.frame)}::text[]) as t (host, at, data)
      on conflict do nothing`,
  },
  {
    name: 'one row per metric',
    tables: ['rival_metric'],
    insert: (sql, rows) => {
      const flat = rows.flatMap((row) =>
        Object.entries((JSON.parse(row.frame) as { metrics: Record<string, number> }).metrics).map(([name, value]) => ({
          ...row,
          name,
          value,
        })),
      );
      return sql`
        insert into rival_metric (host, at, name, value)
        select host, to_timestamp(at / 1000), name, value
        from unnest(${flat.map((row) => row.host)}::uuid[], ${flat.map((row) => row.at)}::float8[], ${flat.map((row) => row.name)}::text[],
          ${flat.map((row) => row.value)}::float8[]) as t (host, at, name, value)
        on conflict do nothing`;
    },
  },
];

export async function makeRivalTables(sql: Pool): Promise<void> {
  await sql`create table rival_jsonb (host uuid, at timestamptz, data jsonb, primary key (host, at))`;
  await sql`create table rival_metric (host uuid, at timestamptz, name text, value float8, primary key (host, name, at))`;
}

const hosts = Array.from({ length: 1_000 }, () => newId());
const boot = newId();
const metrics = someMetrics(200);
let count = 0;

/** A batch as the writer gathers it: so many hosts' samples of about now. */
export const batch = (rows: number): SampleRow[] =>
  Array.from({ length: rows }, () => {
    const seq = ++count;
    const at = Date.now() + seq;
    const frame = `{"kind":"sample","at":${at},"seq":${seq},"boot":"${boot}","metrics":${metrics[seq % metrics.length]}}`;
    return { host: hosts[seq % hosts.length]!, kind: 'sample', at, boot, seq, frame };
  });
