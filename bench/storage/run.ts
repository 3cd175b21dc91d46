/** Measures what a day of history takes on disk, and what sealing it costs: `npm run bench -- storage [hosts minutes recording]`. */

import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { MetricNames } from '../../src/data/metricNames.ts';
import { PartitionKeeper, storageBytes } from '../../src/data/partitions.ts';
import { insertSamples } from '../../src/data/samples.ts';
import type { SampleRow } from '../../src/data/samples.ts';
import { Sealer } from '../../src/data/sealer.ts';
import { openDatabase } from '../../src/db/database.ts';
import type { Pool } from '../../src/db/database.ts';
import { startEmbedded } from '../../src/db/embedded.ts';
import { migrate } from '../../src/db/migrate.ts';
import { newId } from '../../src/lib/id.ts';
import { postgresSeconds } from '../support/postgres.ts';
import { show, table } from '../support/statistics.ts';
import { recordingAt } from './recording.ts';
import { replay } from './replay.ts';
import { rivals } from './rivals.ts';

const hostCount = Number(process.argv[2] ?? 200);
const minutes = Number(process.argv[3] ?? 20);
const recordingFile = process.argv[4];
/** Rivals grow linearly too, and take long to fill. */
const rivalSamples = 20_000;
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
const megabyte = 1e6;

const folder = mkdtempSync(join(tmpdir(), 'hostroom-bench-'));
// Else the server's user could not enter, and its data would lie elsewhere.
chmodSync(folder, 0o755);
const closers: (() => Promise<void>)[] = [];

async function main(): Promise<void> {
  const recording = recordingAt(recordingFile);
  const log = pino({ level: 'silent' });
  const embedded = await startEmbedded({ dataDir: join(folder, 'data'), log });
  closers.push(() => embedded.close());
  const { sql, close } = await openDatabase({ url: embedded.url, log });
  closers.push(close);
  await migrate({ sql, log, apply: true });

  const hosts = Array.from({ length: hostCount }, () => newId());
  const [group] = await sql<[{ id: string }]>`insert into host_group (id, name) values (${newId()}, 'bench') returning id`;
  for (const id of hosts) await sql`insert into host (id, host_group, name) values (${id}, ${group.id}, ${id})`;

  // The last minutes of an hour that is over, so that its rollup is made too.
  const end = Math.floor(Date.now() / hourMs) * hourMs;
  const start = end - minutes * minuteMs;
  await sql`update seal_state set closed_until = to_timestamp(${start}::float8 / 1000), listed_until = closed_until`;
  await sql`update seal_state set listed_until = closed_until`;
  const retention = { raw: dayMs, '10s': 7 * dayMs, '1m': 90 * dayMs, '1h': 1_095 * dayMs };
  const failed = (error: unknown): void => console.error(error);
  const keeper = new PartitionKeeper({ sql, clock: { now: () => end }, retention: async () => retention, failed });
  await keeper.keep();

  let samples = 0;
  let insertSeconds = performance.now();
  for (const [i, host] of hosts.entries()) {
    const rows = replay(recording, host, i / hostCount, start, end);
    samples += rows.filter((row) => row.kind === 'sample').length;
    for (let from = 0; from < rows.length; from += 1_000) await insertSamples(sql, rows.slice(from, from + 1_000));
  }
  insertSeconds = (performance.now() - insertSeconds) / 1000;
  const hotBytes = (await storageBytes(sql)).hot;

  const before = { own: process.cpuUsage(), postgres: postgresSeconds(embedded.pid()), ms: performance.now() };
  let sealed = 0;
  const sealer = new Sealer({
    sql,
    clock: { now: () => end + 2 * minuteMs },
    names: new MetricNames(),
    retentionRawMs: dayMs,
    sealed: (count) => (sealed += count),
    corrupt: failed,
    failed,
  });
  await sealer.seal();
  const own = process.cpuUsage(before.own);
  const hubSeconds = (own.user + own.system) / 1e6;
  const databaseSeconds = postgresSeconds(embedded.pid()) - before.postgres;
  const tookSeconds = (performance.now() - before.ms) / 1000;

  const perDay = await tierBytes(sql);
  const total = Object.values(perDay).reduce((sum, bytes) => sum + bytes, 0);
  console.log(
    `\n${hostCount} hosts × ${minutes} min of ${recording.metrics} metrics at 1 Hz (${samples} samples, ${sealed} host-minutes), replayed from a recording of ` +
      `${Math.round(recording.lengthMs / 1_000)} s; a day is ${Math.round(dayMs / minuteMs / minutes)} times that.\n`,
  );
  console.log(
    table(
      ['tier', 'MB per host and day', 'bytes per sample'],
      [...Object.entries(perDay), ['all tiers', total] as const].map(([name, bytes]) => [
        name,
        show(bytes / megabyte),
        show(bytes / 86_400),
      ]),
    ),
  );
  const [content] = await sql<[{ samples: number; processes: number }]>`
    select avg(length(data)) filter (where kind = 'sample')::float8 as samples, avg(length(data)) filter (where kind = 'processes')::float8 as processes
    from sample_chunk`;
  const share = content.processes / (content.samples + content.processes);
  console.log(`\nof the raw tier: samples ${show(content.samples)} B, process lists ${show(content.processes)} B per minute`);
  console.log(`without process lists: ${show((total - perDay['raw']! * share) / megabyte)} MB per host and day`);
  const load = (seconds: number): string => show((100 * seconds) / (minutes * 60));
  console.log(
    `sealing and rolling up: ${load(hubSeconds)} + ${load(databaseSeconds)} % of a core (hub + PostgreSQL) for ${hostCount} hosts; ` +
      `${show(sealed / tookSeconds)} host-minutes/s when it catches up`,
  );
  console.log(`rows not sealed yet: ${show(hotBytes / samples)} B per sample; inserted at ${show(samples / insertSeconds)} samples/s\n`);
  await measureRivals(sql, recording.metrics, total);

  async function measureRivals(pool: Pool, metricCount: number, ours: number): Promise<void> {
    const rows: SampleRow[] = [];
    for (const [i, host] of hosts.entries()) {
      if (rows.length >= rivalSamples) break;
      rows.push(...replay(recording, host, i / hostCount, start, end).filter((row) => row.kind === 'sample'));
    }
    const names = [...new Set(rows.flatMap((row) => Object.keys((JSON.parse(row.frame) as { metrics: object }).metrics)))];
    const found: string[][] = [[`hostroom, all tiers and process lists`, show(ours / megabyte), show(ours / 86_400), '1']];
    for (const rival of rivals) {
      await rival.make(pool, names);
      for (let from = 0; from < rows.length; from += 500) await rival.insert(pool, rows.slice(from, from + 500), names);
      const [size] = await pool<[{ bytes: number }]>`select pg_total_relation_size(${rival.table}::regclass)::float8 as bytes`;
      const each = size.bytes / rows.length;
      found.push([`${rival.name}, raw alone`, show((each * 86_400) / megabyte), show(each), show((each * 86_400) / ours)]);
    }
    console.log(`${metricCount} metrics, rivals with ${rows.length} samples:`);
    console.log(table(['stored as', 'MB per host and day', 'bytes per sample', 'times ours'], found));
  }
}

/** Bytes of one host's day, indexes and TOAST included. */
async function tierBytes(sql: Pool): Promise<Record<string, number>> {
  const bytes = await storageBytes(sql);
  const [rows] = await sql<[{ hours: number }]>`select count(*)::float8 as hours from rollup_1h`;
  const empty = await emptyBytes(sql);
  const scale = dayMs / minuteMs / minutes / hostCount;
  return {
    raw: (bytes.raw - empty.raw!) * scale,
    '10s': (bytes['10s'] - empty['10s']!) * scale,
    '1m': (bytes['1m'] - empty['1m']!) * scale,
    '1h': ((bytes['1h'] - empty['1h']!) / rows.hours) * 24,
  };
}

/** What partitions take before there is anything in them, which does not grow with hosts and days. */
async function emptyBytes(sql: Pool): Promise<Record<string, number>> {
  const rows = await sql<{ tier: string; bytes: number }[]>`
    select t.tier, sum(case when pg_relation_size(i.inhrelid) = 0 then pg_total_relation_size(i.inhrelid) else 0 end)::float8 as bytes
    from (values ('raw', 'sample_chunk'), ('10s', 'rollup_10s'), ('1m', 'rollup_1m'), ('1h', 'rollup_1h')) as t (tier, parent)
    join pg_inherits i on i.inhparent = t.parent::regclass group by t.tier`;
  return Object.fromEntries(rows.map(({ tier, bytes }) => [tier, bytes]));
}

try {
  await main();
} finally {
  for (let close = closers.pop(); close; close = closers.pop()) await close();
  rmSync(folder, { recursive: true, force: true });
}
