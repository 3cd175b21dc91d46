/** Sealing loses nothing and doubles nothing whoever else seals or writes, whatever dies, whatever is damaged. */

import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { MetricNames } from '../../src/data/metricNames.ts';
import { insertSamples } from '../../src/data/samples.ts';
import type { Sealer } from '../../src/data/sealer.ts';
import { countWork } from '../../src/data/sealWork.ts';
import { openDatabase } from '../../src/db/database.ts';
import type { Pool } from '../../src/db/database.ts';
import { freshDatabase } from '../support/database.ts';
import {
  addHosts,
  checkRollups,
  insertInPieces,
  minuteMs,
  mixedRows,
  openSince,
  read,
  rows,
  sampleRow,
  sealerOf,
  thisMinute,
  times,
} from '../support/sealing.ts';
import { until } from '../support/until.ts';

test('two sealers at once, with writers between: every sample in its chunk once', async () => {
  const { sql, url } = await freshDatabase(onTestFinished);
  const other = await openDatabase({ url, log: pino({ level: 'silent' }) });
  onTestFinished(() => other.close());
  const hosts = await addHosts(sql, 4);
  const start = thisMinute - 6 * minuteMs;
  await openSince(sql, start);
  const given = mixedRows(hosts, start, thisMinute);
  let writing = true;
  const write = async (): Promise<void> => {
    await insertInPieces(sql, given);
    writing = false;
  };
  const sealers = [sealerOf(sql, { batch: 7 }), sealerOf(other.sql, { batch: 5, batchBytes: 30_000 })];
  const seal = async (sealer: Sealer): Promise<void> => {
    while (writing) await sealer.seal();
  };
  await Promise.all([write(), ...sealers.map(seal)]);
  await sealers[0]!.seal();
  expect(await countWork(sql)).toBe(0);
  const [count] = await sql`select count(*)::int as chunks, sum(n)::int as samples, max(n)::int as most from sample_chunk`;
  expect(count).toEqual({ chunks: 24, samples: 1_440, most: 60 });
  const parts = { sql, names: new MetricNames() };
  await sql`delete from sample_hot`;
  for (const host of hosts) {
    const own = given.filter((row) => row.host === host).sort((a, b) => a.at - b.at);
    expect(times(await read(parts, host, 0, Date.now()))).toEqual(times(own));
    await checkRollups(parts, host, own, start, thisMinute);
  }
});

test('an insert that began before its minute was closed and commits after it is not forgotten', async () => {
  const { sql } = await freshDatabase(onTestFinished);
  const [host] = await addHosts(sql, 1);
  const start = thisMinute - minuteMs;
  await openSince(sql, start);
  await insertSamples(sql, rows(host!, start, start + 10_000));
  const sealer = sealerOf(sql);
  let sealing: Promise<void> | undefined;
  await sql.begin(async (tx) => {
    await insertSamples(tx, rows(host!, start + 10_000, start + 20_000));
    sealing = sealer.seal();
    // Closed, and waiting for us.
    await until(async () => (await sql`select from seal_state where closed_until > to_timestamp(${start}::float8 / 1000)`).count === 1);
    await sql`select pg_sleep(0.1)`;
    expect((await sql`select from sample_chunk`).count).toBe(0);
  });
  await sealing;
  await sealer.seal();
  expect(await sql`select n from sample_chunk`).toEqual([{ n: 20 }]);
});

test('a sealer that dies in the middle leaves nothing half done', async () => {
  const { sql, url } = await freshDatabase(onTestFinished);
  const hosts = await addHosts(sql, 3);
  const start = thisMinute - 4 * minuteMs;
  await openSince(sql, start);
  await insertSamples(
    sql,
    hosts.flatMap((host) => rows(host, start, thisMinute)),
  );
  const doomed = await openDatabase({ url, log: pino({ level: 'silent' }), applicationName: 'doomed' });
  onTestFinished(() => doomed.close());
  const kill = () =>
    sql`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'doomed' and datname = current_database()`;
  // Killed at any statement of its transactions: after a growing number of them.
  for (let kills = 0; kills < 12; kills++) {
    let left = 2 + 3 * kills;
    const dying = new Proxy(doomed.sql, {
      get: (pool, name) =>
        name !== 'begin'
          ? Reflect.get(pool, name)
          : (run: (tx: Pool) => Promise<unknown>) =>
              pool.begin((tx) =>
                run(
                  new Proxy(tx, {
                    apply: (target, self, args) => {
                      const isStatement = Array.isArray(args[0]) && 'raw' in args[0];
                      const send = (): unknown => Reflect.apply(target as never, self, args);
                      return isStatement && left-- === 0 ? kill().then(send) : send();
                    },
                  }) as never,
                ),
              ),
    });
    await sealerOf(dying, { batch: 2 })
      .seal()
      .catch((error: unknown) => expect(error).toBeInstanceOf(Error));
  }
  await sealerOf(sql).seal();
  expect(await countWork(sql)).toBe(0);
  const [count] = await sql`select count(*)::int as chunks, sum(n)::int as samples from sample_chunk`;
  expect(count).toEqual({ chunks: 12, samples: 720 });
});

test('a damaged chunk is told of and put aside; reading and sealing go on', async () => {
  const { sql } = await freshDatabase(onTestFinished);
  const [host] = await addHosts(sql, 1);
  const start = thisMinute - 3 * minuteMs;
  await openSince(sql, start);
  await insertSamples(sql, rows(host!, start, thisMinute));
  const corrupt: unknown[] = [];
  const parts = { sql, names: new MetricNames(), corrupt: (error: unknown) => void corrupt.push(error) };
  const sealer = sealerOf(sql, { ...parts });
  await sealer.seal();
  await sql`delete from sample_hot`;
  await sql`update sample_chunk set data = set_byte(data, 20, get_byte(data, 20) # 1) where minute = to_timestamp(${start + minuteMs} / 1000.0)`;
  expect(times(await read(parts, host!, start, thisMinute))).toEqual(
    times(rows(host!, start, thisMinute)).filter((at) => at < start + minuteMs || at >= start + 2 * minuteMs),
  );
  expect(corrupt).toHaveLength(1);
  await insertSamples(sql, [sampleRow(host!, start + minuteMs + 500)]);
  await sealer.seal();
  expect(corrupt).toHaveLength(2);
  expect(await sql`select n from sample_chunk order by minute`).toEqual([{ n: 60 }, { n: 1 }, { n: 60 }]);
  expect((await sql`select from corrupt_chunk`).count).toBe(1);
  // What was rolled up of it is still right.
  await checkRollups(parts, host!, rows(host!, start, thisMinute), start, thisMinute);
});

test('a background sealer goes on after rounds that failed, and stops where it is closed', async () => {
  const { sql } = await freshDatabase(onTestFinished);
  const [host] = await addHosts(sql, 1);
  const start = thisMinute - 2 * minuteMs;
  await openSince(sql, start);
  await insertSamples(sql, rows(host!, start, thisMinute));
  await sql`alter table rollup_10s rename to elsewhere`;
  const failures: unknown[] = [];
  const sealer = sealerOf(sql, { everyMs: 5, failed: (error) => failures.push(error) });
  sealer.start();
  await until(() => failures.length >= 3);
  expect((await sql`select from sample_chunk`).count).toBe(0);
  await sql`alter table elsewhere rename to rollup_10s`;
  await until(async () => (await sql`select from sample_chunk`).count === 2);
  await sealer.close();
  expect(await countWork(sql)).toBe(0);
  expect((await sql`select from rollup_1m`).count).toBe(2);
});
