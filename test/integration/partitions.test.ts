import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { type Pool, openDatabase } from '../../src/db/database.ts';
import { newId } from '../../src/lib/id.ts';
import { freshDatabase } from '../support/database.ts';

const silent = pino({ level: 'silent' });
const host = newId();
const boot = newId();

async function insert(sql: Pool, times: string[]): Promise<void> {
  await sql`
    insert into sample_hot (host, kind, at, boot, seq, frame)
    select ${host}, 'sample', at, ${boot}, 1, '\\x00' from unnest(${times}::timestamptz[]) as at`;
}

async function where(sql: Pool): Promise<Record<string, number>> {
  const rows = await sql<{ part: string; rows: number }[]>`
    select tableoid::regclass::text as part, count(*)::int as rows from sample_hot group by 1 order by 1`;
  return Object.fromEntries(rows.map((row) => [row.part, row.rows]));
}

test('a partition takes its range, also the rows that were in the default partition', async () => {
  const { sql } = await freshDatabase(onTestFinished);
  await insert(sql, ['2026-05-01T09:59:59.999Z', '2026-05-01T10:00:00Z', '2026-05-01T10:09:59.999Z', '2026-05-01T10:10:00Z']);
  expect(await where(sql)).toEqual({ sample_hot_default: 4 });
  const [made] = await sql`select make_hot_partition('2026-05-01T10:00:00Z', '2026-05-01T10:10:00Z') as made`;
  expect(made).toEqual({ made: true });
  expect(await where(sql)).toEqual({ sample_hot_20260501t100000: 2, sample_hot_default: 2 });
  await insert(sql, ['2026-05-01T10:05:00Z']);
  expect(await where(sql)).toEqual({ sample_hot_20260501t100000: 3, sample_hot_default: 2 });
  await expect(insert(sql, ['2026-05-01T10:05:00Z'])).rejects.toMatchObject({ code: '23505' });
});

test('the time zone of the caller changes nothing', async () => {
  const { sql } = await freshDatabase(onTestFinished, { maxConnections: 1 });
  await sql`select set_config('timezone', 'Asia/Kathmandu', false), set_config('datestyle', 'German', false)`;
  await sql`select make_hot_partition('2026-05-01T10:00:00Z', '2026-05-01T10:10:00Z')`;
  await insert(sql, ['2026-05-01T10:00:00Z', '2026-05-01T10:10:00Z']);
  expect(await where(sql)).toEqual({ sample_hot_20260501t100000: 1, sample_hot_default: 1 });
  const [kept] = await sql`select drop_hot_partitions('2026-05-01T10:09:59Z') as dropped`;
  expect(kept).toEqual({ dropped: 0 });
  const [dropped] = await sql`select drop_hot_partitions('2026-05-01T10:10:00Z') as dropped`;
  expect(dropped).toEqual({ dropped: 1 });
  expect(await where(sql)).toEqual({ sample_hot_default: 1 });
});

test('one that is there, or overlaps one that is there, is not made, and no row moves', async () => {
  const { sql } = await freshDatabase(onTestFinished);
  const make = async (starts: string, ends: string): Promise<unknown> => {
    const [row] = await sql`select make_hot_partition(${starts}::text::timestamptz, ${ends}::text::timestamptz) as made`;
    return row?.['made'];
  };
  expect(await make('2026-05-01T10:00:00Z', '2026-05-01T11:00:00Z')).toBe(true);
  expect(await make('2026-05-01T10:00:00Z', '2026-05-01T11:00:00Z')).toBe(false);
  await insert(sql, ['2026-05-01T11:05:00Z']);
  expect(await make('2026-05-01T10:30:00Z', '2026-05-01T11:30:00Z')).toBe(false);
  expect(await where(sql)).toEqual({ sample_hot_default: 1 });
  await expect(make('2026-05-01T11:00:00Z', '2026-05-01T11:00:00Z')).rejects.toMatchObject({ code: '22023' });
  await expect(make('2026-05-01T11:00:00.5Z', '2026-05-01T12:00:00Z')).rejects.toMatchObject({ code: '22023' });
  await expect(make('-infinity', '2026-05-01T12:00:00Z')).rejects.toMatchObject({ code: '22023' });
});

test('replicas that race while writers write: each partition once, every row once', async () => {
  const { sql, url } = await freshDatabase(onTestFinished);
  const replicas = await Promise.all([1, 2, 3].map(() => openDatabase({ url, log: silent, maxConnections: 2 })));
  const starts = Array.from({ length: 8 }, (_unused, i) => Date.UTC(2026, 4, 1, 10, i));
  const times = Array.from({ length: 480 }, (_unused, i) => new Date(Date.UTC(2026, 4, 1, 10, 0, i)).toISOString());
  let made = 0;
  async function makeAll(pool: Pool): Promise<void> {
    for (const start of starts) {
      const [row] = await pool<[{ made: boolean }]>`select make_hot_partition(${new Date(start)}, ${new Date(start + 60_000)}) as made`;
      if (row.made) made++;
    }
  }
  async function writeAll(): Promise<void> {
    // From the end, so that rows meet partitions that are not there yet.
    for (let i = times.length; i > 0; i -= 20) await insert(sql, times.slice(i - 20, i));
  }
  await Promise.all([writeAll(), ...replicas.map((replica) => makeAll(replica.sql))]);
  await Promise.all(replicas.map((replica) => replica.close()));
  expect(made).toBe(8);
  const [all] = await sql`select count(*)::int as rows, count(distinct at)::int as times from sample_hot`;
  expect(all).toEqual({ rows: 480, times: 480 });
  expect((await where(sql))['sample_hot_default']).toBeUndefined();
  const [gone] = await sql`select drop_hot_partitions('2027-01-01T00:00:00Z') as dropped`;
  expect(gone).toEqual({ dropped: 8 });
});

test('a long reader makes them give up, not queue every writer behind them', async () => {
  const { sql } = await freshDatabase(onTestFinished);
  await sql.begin(async (tx) => {
    await tx`select count(*) from sample_hot`;
    await expect(sql`select make_hot_partition('2026-05-01T10:00:00Z', '2026-05-01T10:10:00Z')`).rejects.toMatchObject({ code: '55P03' });
  });
  const [row] = await sql`select make_hot_partition('2026-05-01T10:00:00Z', '2026-05-01T10:10:00Z') as made`;
  expect(row).toEqual({ made: true });
});
