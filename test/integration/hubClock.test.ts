import { pino } from 'pino';
import { afterAll, expect, test } from 'vitest';
import { startHubClock } from '../../src/db/hubClock.ts';
import { freshDatabase } from '../support/database.ts';
import { until } from '../support/until.ts';

const log = pino({ level: 'silent' });
const database = await freshDatabase(afterAll, { maxConnections: 1 });

async function databaseMs(): Promise<number> {
  const [row] = await database.sql<[{ ms: number }]>`select (extract(epoch from clock_timestamp()) * 1000)::float8 as ms`;
  return row.ms;
}

test('tells the time of PostgreSQL, not that of this machine', async () => {
  // A monotonic clock that began anywhere: only the database knows the time.
  const clock = await startHubClock({ sql: database.sql, log, monotonicMs: () => performance.now() + 123_456_789 });
  const before = await databaseMs();
  const told = clock.now();
  const after = await databaseMs();
  clock.close();
  // The error is at most half a round trip, both ways.
  expect(told).toBeGreaterThan(before - 100);
  expect(told).toBeLessThan(after + 100);
  expect(Number.isInteger(told)).toBe(true);
});

test('never goes back, also where a measurement finds it too fast', async () => {
  let shiftMs = 0;
  const clock = await startHubClock({ sql: database.sql, log, monotonicMs: () => performance.now() + shiftMs });
  // As if this machine's monotonic clock had jumped ahead by a minute between two measurements.
  shiftMs = 60_000;
  const tooFast = clock.now();
  await clock.measure();
  expect(clock.now()).toBe(tooFast);
  expect(clock.offsetMs()).toBeLessThan(1_000);
  clock.close();
});

test('follows a clock of PostgreSQL that was set back by an hour', async () => {
  let shiftMs = 0;
  const warnings: unknown[] = [];
  const clock = await startHubClock({
    sql: database.sql,
    log: { warn: (details: unknown) => void warnings.push(details) },
    monotonicMs: () => performance.now() + shiftMs,
  });
  shiftMs = 3_600_000;
  const before = clock.now();
  await clock.measure();
  expect(clock.now()).toBeLessThan(before - 3_590_000);
  expect(warnings).toHaveLength(1);
  clock.close();
});

test('keeps the last offset while the database is away, and measures again by itself', async () => {
  let away = false;
  let asked = 0;
  const sql = new Proxy(database.sql, {
    apply(target, thisArgument, args) {
      asked++;
      return away ? Promise.reject(Object.assign(new Error('away'), { code: 'ECONNREFUSED' })) : Reflect.apply(target, thisArgument, args);
    },
  });
  const clock = await startHubClock({ sql, log, everyMs: 5 });
  away = true;
  const before = asked;
  await until(() => asked > before + 3, 'it keeps trying');
  const first = clock.now();
  await until(() => clock.now() > first, 'it goes on');
  away = false;
  const again = asked;
  await until(() => asked > again + 10, 'it measures again');
  clock.close();
});
