/** The same samples in plain tables: a jsonb row each, a typed row each, a row per metric. */

import type { Pool } from '../../src/db/database.ts';
import type { SampleRow } from '../../src/data/samples.ts';
import type { Sample } from '../../src/protocol/kinds.ts';

export interface Rival {
  name: string;
  table: string;
  make(sql: Pool, metrics: readonly string[]): Promise<unknown>;
  insert(sql: Pool, rows: readonly SampleRow[], metrics: readonly string[]): Promise<unknown>;
}

const metricsOf = (row: SampleRow): Record<string, number> => (JSON.parse(row.frame) as Sample).metrics;
const list = (values: readonly (string | number | null)[]): string => `{${values.map((value) => value ?? 'null').join(',')}}`;

export const rivals: readonly Rival[] = [
  {
    name: 'a jsonb row per sample',
    table: 'rival_jsonb',
    make: (sql) => sql`create table rival_jsonb (host uuid, at timestamptz, metrics jsonb not null, primary key (host, at))`,
    insert: (sql, rows) => sql`
      insert into rival_jsonb select host, to_timestamp(at / 1000), metrics::jsonb
      from unnest(${list(rows.map((row) => row.host))}::text::uuid[], ${list(rows.map((row) => row.at))}::text::float8[],
        ${rows.map((row) => JSON.stringify(metricsOf(row)))}::text[]) as given (host, at, metrics)`,
  },
  {
    name: 'a typed row per sample (a float8 column per metric)',
    table: 'rival_typed',
    make: (sql, metrics) =>
      sql.unsafe(
        `create table rival_typed (host uuid, at timestamptz, ${metrics.map((_, i) => `m${i} float8`).join(', ')}, primary key (host, at))`,
      ),
    insert: (sql, rows, metrics) => {
      const given = rows.map(metricsOf);
      const columns = metrics.map((name) => list(given.map((one) => one[name] ?? null)));
      return sql.unsafe(
        `insert into rival_typed select host, to_timestamp(at / 1000), ${metrics.map((_, i) => `m${i}`).join(', ')}
         from unnest($1::text::uuid[], $2::text::float8[], ${metrics.map((_, i) => `$${i + 3}::text::float8[]`).join(', ')})
         as given (host, at, ${metrics.map((_, i) => `m${i}`).join(', ')})`,
        [list(rows.map((row) => row.host)), list(rows.map((row) => row.at)), ...columns],
      );
    },
  },
  {
    name: 'a row per metric (its number and a float8)',
    table: 'rival_metric',
    make: (sql) =>
      sql`create table rival_metric (host uuid, metric integer, at timestamptz, value float8 not null, primary key (host, metric, at))`,
    insert: (sql, rows, metrics) => {
      const flat = rows.flatMap((row) =>
        Object.entries(metricsOf(row)).map(([name, value]) => ({ row, metric: metrics.indexOf(name), value })),
      );
      return sql`
        insert into rival_metric select host, metric, to_timestamp(at / 1000), value
        from unnest(${list(flat.map((one) => one.row.host))}::text::uuid[], ${list(flat.map((one) => one.metric))}::text::integer[],
          ${list(flat.map((one) => one.row.at))}::text::float8[], ${list(flat.map((one) => one.value))}::text::float8[]) as given (host, metric, at, value)`;
    },
  },
];
