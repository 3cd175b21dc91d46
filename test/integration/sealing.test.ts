/** Samples become chunks and rollups: all of them, once, whenever they come. */

import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { deleteHistory, readRawColumns, readRollups } from '../../src/data/history.ts';
import { MetricNames } from '../../src/data/metricNames.ts';
import { PartitionKeeper, hotKeptMs } from '../../src/data/partitions.ts';
import { insertSamples } from '../../src/data/samples.ts';
import { countWork } from '../../src/data/sealWork.ts';
import { newId } from '../../src/lib/id.ts';
import { openDatabase } from '../../src/db/database.ts';
import { SampleStream } from '../../src/streams/samples.ts';
import { freshDatabase } from '../support/database.ts';
import {
  addHosts,
  boot,
  checkRollups,
  hourMs,
  minuteMs,
  openSince,
  processesRow,
  read,
  rows,
  sampleRow,
  sealerOf,
  thisMinute,
  times,
  valueAt,
} from '../support/sealing.ts';

test('closed minutes of many hosts become chunks and rollups, the open one stays rows, and all is read as one', async () => {
  const { sql } = await freshDatabase(onTestFinished);
  const hosts = await addHosts(sql, 5);
  const start = thisMinute - 3 * minuteMs;
  await openSince(sql, start);
  const given = hosts.flatMap((host) => [...rows(host, start, thisMinute + 10_000), processesRow(host, start + 500)]);
  await insertSamples(sql, given);
  const sealed: number[] = [];
  const names = new MetricNames();
  await sealerOf(sql, { names, sealed: (minutes) => sealed.push(minutes), batch: 2 }).seal();
  expect(sealed.reduce((a, b) => a + b)).toBe(15);
  expect(Math.max(...sealed)).toBe(2);
  const [count] = await sql`select count(*)::int as chunks, sum(n) filter (where kind = 'sample')::int as samples from sample_chunk`;
  expect(count).toEqual({ chunks: 20, samples: 900 });
  for (const host of hosts) {
    // Another replica knows no names yet.
    const parts = { sql, names: new MetricNames() };
    const own = given.filter((row) => row.host === host && row.kind === 'sample');
    const all = await read(parts, host, 0, Date.now() + hourMs);
    expect(all).toEqual(own.map(({ at, seq, frame }) => ({ at, seq, boot, metrics: JSON.parse(frame).metrics })));
    expect(times(await read(parts, host, start + 30_500, thisMinute + 5_000))).toEqual(
      own.map(({ at }) => at).filter((at) => at >= start + 30_500 && at < thisMinute + 5_000),
    );
    const columns: number[] = [];
    for await (const block of readRawColumns(parts, {
      host,
      fromMs: 0,
      toMs: Date.now() + hourMs,
      wanted: (name) => name === 'cpu.busy',
    })) {
      expect([...block.series.keys()]).toEqual(['cpu.busy']);
      columns.push(...block.series.get('cpu.busy')!);
    }
    expect(columns).toEqual(own.map(({ at }) => valueAt(at)));
    await checkRollups(parts, host, own, start, thisMinute);
  }
  expect(await countWork(sql)).toBe(0);
});

test('late samples are merged into their chunk, once, and everything rolled up from it is made anew', async () => {
  const { sql } = await freshDatabase(onTestFinished);
  const [host] = await addHosts(sql, 1);
  const hour = Math.floor(thisMinute / hourMs) * hourMs - 2 * hourMs;
  const parts = { sql, names: new MetricNames() };
  await openSince(sql, hour);
  const early = rows(host!, hour, hour + 3 * minuteMs).filter((_, i) => i % 2 === 0);
  const late = rows(host!, hour, hour + 3 * minuteMs).filter((_, i) => i % 2 === 1);
  await insertSamples(sql, early);
  const merged: number[] = [];
  const sealer = sealerOf(sql, { names: parts.names, sealed: (_, n) => merged.push(n) });
  await sealer.seal();
  const hourly = async () => {
    for await (const block of readRollups(parts, '1h', { host: host!, fromMs: hour, toMs: hour + hourMs }))
      return block.series.get('cpu.busy')!.n;
  };
  expect(await hourly()).toEqual([90]);
  // Rows that were sealed long ago are gone.
  await sql`delete from sample_hot`;
  await insertSamples(sql, [...late, ...early.slice(0, 5), sampleRow(host!, hour, { boot: newId(), seq: 99 })]);
  expect(times(await read(parts, host!, hour, hour + hourMs))).toEqual(times([...early, ...late]).sort((a, b) => a - b));
  await sealer.seal();
  expect(merged.reduce((a, b) => a + b)).toBe(3);
  expect(await sql`select n from sample_chunk order by minute`).toEqual([{ n: 60 }, { n: 60 }, { n: 60 }]);
  const all = [...early, ...late].sort((a, b) => a.at - b.at);
  expect(await read(parts, host!, hour, hour + hourMs)).toEqual(
    all.map(({ at, seq, frame }) => ({ at, seq, boot, metrics: JSON.parse(frame).metrics })),
  );
  await checkRollups(parts, host!, all, hour, hour + 3 * minuteMs);
  expect(await hourly()).toEqual([180]);
  // What came too late for a partition of its own does not stay as rows.
  expect((await sql`select from sample_hot`).count).toBe(0);
});

test('without any partition, and with each tier cut to its retention, nothing else is lost', async () => {
  const { sql } = await freshDatabase(onTestFinished);
  const [host] = await addHosts(sql, 1);
  const start = thisMinute - 30 * hourMs;
  let nowMs = start + 10 * minuteMs;
  await openSince(sql, start);
  await insertSamples(sql, rows(host!, start, start + 2 * minuteMs));
  const names = new MetricNames();
  const sealer = sealerOf(sql, { names, clock: { now: () => nowMs } });
  await sealer.seal();
  expect(await sql`select distinct tableoid::regclass::text as part from sample_chunk`).toEqual([{ part: 'sample_chunk_default' }]);
  let retention = { raw: 24 * hourMs, '10s': 7 * 24 * hourMs, '1m': 90 * 24 * hourMs, '1h': Infinity };
  const failures: unknown[] = [];
  const keeper = new PartitionKeeper({
    sql,
    clock: { now: () => nowMs },
    retention: async () => retention,
    failed: (error) => failures.push(error),
  });
  await keeper.keep();
  const counts = async () => {
    const [row] = await sql`
      select (select count(*)::int from sample_chunk) as raw, (select count(*)::int from rollup_10s) as tens,
        (select count(*)::int from rollup_1m) as minutes, (select count(*)::int from rollup_1h) as hours`;
    return row;
  };
  expect(await sql`select count(*)::int as rows from sample_chunk_default`).toEqual([{ rows: 0 }]);
  expect(await counts()).toEqual({ raw: 2, tens: 2, minutes: 2, hours: start % hourMs <= hourMs - 2 * minuteMs ? 1 : 2 });
  nowMs = start + 24 * hourMs + 7 * hourMs;
  await keeper.keep();
  expect(await counts()).toMatchObject({ raw: 0, tens: 2, minutes: 2 });
  retention = { ...retention, '10s': hourMs };
  nowMs += 24 * hourMs;
  await keeper.keep();
  expect(await counts()).toMatchObject({ raw: 0, tens: 0, minutes: 2 });
  // Too late for the raw tier: it must not replace what was rolled up of the whole minute.
  const expired: number[] = [];
  await insertSamples(sql, [sampleRow(host!, start + 500)]);
  await sealerOf(sql, { names, clock: { now: () => nowMs }, expired: (n) => expired.push(n) }).seal();
  expect(expired).toEqual([1]);
  const blocks = [];
  for await (const block of readRollups({ sql, names }, '1m', { host: host!, fromMs: start, toMs: start + minuteMs })) blocks.push(block);
  expect(blocks[0]!.series.get('cpu.busy')!.n).toEqual([60]);
  expect(failures).toEqual([]);
});

test('a late sample whose chunk went with a shorter retention replaces nothing that was made of the whole minute', async () => {
  const { sql } = await freshDatabase(onTestFinished);
  const [host] = await addHosts(sql, 1);
  const start = thisMinute - 5 * hourMs;
  await openSince(sql, start);
  const given = rows(host!, start, start + minuteMs);
  await insertSamples(sql, given);
  const parts = { sql, names: new MetricNames() };
  const expired: number[] = [];
  const sealer = sealerOf(sql, { names: parts.names, expired: (n) => expired.push(n) });
  await sealer.seal();
  // Shortened for a while, and back again.
  await sql`delete from sample_chunk`;
  await sql`delete from sample_hot`;
  await insertSamples(sql, [sampleRow(host!, start + 500), sampleRow(host!, start + 2 * minuteMs), processesRow(host!, start + 700)]);
  await sealer.seal();
  expect(expired).toEqual([1]);
  await checkRollups(parts, host!, [...given, sampleRow(host!, start + 2 * minuteMs)], start, start + 3 * minuteMs);
  expect(times(await read(parts, host!, start, start + hourMs))).toEqual([start + 500, start + 2 * minuteMs]);
});

test('a partition of rows is dropped once it is in chunks, never before', async () => {
  const { sql } = await freshDatabase(onTestFinished);
  const [host] = await addHosts(sql, 1);
  const start = Math.floor(thisMinute / 600_000) * 600_000 - 600_000;
  await openSince(sql, start);
  let nowMs = start + 1_000;
  const retention = { raw: 24 * hourMs, '10s': 7 * 24 * hourMs, '1m': 90 * 24 * hourMs, '1h': Infinity };
  const failures: unknown[] = [];
  const keeper = new PartitionKeeper({
    sql,
    clock: { now: () => nowMs },
    retention: async () => retention,
    failed: (error) => failures.push(error),
  });
  await keeper.keep();
  await insertSamples(sql, rows(host!, start, start + 2 * minuteMs));
  nowMs = start + 600_000 + hotKeptMs;
  await keeper.keep();
  expect((await sql`select from sample_hot`).count).toBe(120);
  const sealer = sealerOf(sql, { batch: 1 });
  await sealer.seal();
  await insertSamples(sql, [sampleRow(host!, start + 500)]);
  await keeper.keep();
  expect((await sql`select from sample_hot`).count).toBe(121);
  await sealer.seal();
  await keeper.keep();
  expect((await sql`select from sample_hot`).count).toBe(0);
  expect(await sql`select n from sample_chunk order by minute`).toEqual([{ n: 61 }, { n: 60 }]);
  expect(failures).toEqual([]);
});

test('more names than the table takes stand in the chunks themselves', async () => {
  const { sql } = await freshDatabase(onTestFinished);
  const [host] = await addHosts(sql, 1);
  const start = thisMinute - minuteMs;
  await openSince(sql, start);
  const given = rows(host!, start, thisMinute);
  await insertSamples(sql, given);
  await sealerOf(sql, { names: new MetricNames({ maxNames: 2 }) }).seal();
  expect((await sql`select from metric`).count).toBe(2);
  await sql`delete from sample_hot`;
  const all = await read({ sql, names: new MetricNames() }, host!, start, thisMinute);
  expect(all.map((sample) => sample.metrics)).toEqual(given.map((row) => JSON.parse(row.frame).metrics));
});

test('a host that is away for long is still known by its last minute', async () => {
  const { sql } = await freshDatabase(onTestFinished);
  const [host] = await addHosts(sql, 1);
  const start = thisMinute - 2 * minuteMs;
  await openSince(sql, start);
  await insertSamples(sql, [...rows(host!, start, thisMinute), processesRow(host!, thisMinute - 30_500)]);
  await sealerOf(sql).seal();
  await sql`delete from sample_hot`;
  const stream = new SampleStream({ sql });
  const last = sampleRow(host!, thisMinute - 1_000);
  const page = await stream.read(`host:${host}`, { limit: 10, reverse: true });
  expect(page.top).toEqual({ offset: last.seq, epoch: boot });
  expect(page.entries.map((entry) => JSON.parse(entry.data))[0]).toEqual(JSON.parse(last.frame));
  expect(stream.latest(host!).sample).toEqual(JSON.parse(last.frame));
  expect(stream.latest(host!).processes).toEqual(JSON.parse(processesRow(host!, thisMinute - 30_500).frame));
});

test('all of it works for a role that may only work with rows; a deleted host leaves nothing behind', async () => {
  const { sql, url } = await freshDatabase(onTestFinished);
  const role = `hostroom_seal_${process.pid}_${Date.now()}`;
  await sql.unsafe(`create role ${role} login password 'run'; grant usage on schema public to ${role};
    grant select, insert, update, delete on all tables in schema public to ${role}; grant execute on all functions in schema public to ${role}`);
  const own = await openDatabase({ url: asRole(url, role, 'run'), log: pino({ level: 'silent' }) });
  onTestFinished(async () => {
    await own.close();
    await sql.unsafe(`drop owned by ${role}; drop role ${role}`);
  });
  const [host, other] = await addHosts(own.sql, 2);
  const start = thisMinute - 26 * hourMs;
  let retention = { raw: 30 * hourMs, '10s': 7 * 24 * hourMs, '1m': 90 * 24 * hourMs, '1h': Infinity };
  const failures: unknown[] = [];
  const measures: Record<string, number>[] = [];
  const keeper = new PartitionKeeper({
    sql: own.sql,
    clock: { now: () => Date.now() },
    retention: async () => retention,
    failed: (error) => failures.push(error),
    measured: (bytes) => measures.push(bytes),
  });
  await openSince(own.sql, start);
  await keeper.keep();
  await insertSamples(own.sql, [...rows(host!, start, start + minuteMs), ...rows(other!, start, start + minuteMs)]);
  await sealerOf(own.sql, { retentionRawMs: retention.raw }).seal();
  retention = { ...retention, '10s': hourMs };
  await keeper.keep();
  expect(failures).toEqual([]);
  expect(Object.keys(measures[1]!).sort()).toEqual(['10s', '1h', '1m', 'hot', 'raw']);
  expect(measures[1]!['raw']).toBeGreaterThan(measures[0]!['raw']!);
  await insertSamples(own.sql, [sampleRow(host!, start + 500), sampleRow(host!, Date.now())]);

  await own.sql`delete from host where id = ${host!}`;
  await deleteHistory(own.sql, host!);
  for (const table of ['sample_hot', 'sample_chunk', 'rollup_10s', 'rollup_1m', 'rollup_1h', 'seal_work', 'hour_work']) {
    const left = await sql<{ host: string }[]>`select distinct host from ${sql(table)} where host <> ${other!}`;
    expect({ table, left: [...left] }).toEqual({ table, left: [] });
  }
  expect((await sql`select from sample_chunk where host = ${other!}`).count).toBe(1);
});

function asRole(url: string, user: string, password: string): string {
  const [address = '', query] = url.split('?');
  const given = new URLSearchParams(query);
  given.set('user', user);
  given.set('password', password);
  return `${address.replace(/\/\/[^/]*@/, '//')}?${given.toString().replaceAll('+', '%20')}`;
}
