import { expect, onTestFinished, test } from 'vitest';
import { PartitionKeeper, partitionMs } from '../../src/data/partitions.ts';
import { insertSamples } from '../../src/data/samples.ts';
import { newId } from '../../src/lib/id.ts';
import { freshDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';

const start = Math.floor(Date.now() / partitionMs) * partitionMs;
const day = 24 * 3_600_000;
const retention = { raw: day, '10s': 7 * day, '1m': 90 * day, '1h': 1_000 * day };

const partitionOf = async ({ sql }: TestDatabase, host: string): Promise<string[]> =>
  (await sql<{ name: string }[]>`select tableoid::regclass::text as name from sample_hot where host = ${host} order by at`).map(
    (row) => row.name,
  );

const insertAt = (database: TestDatabase, host: string, at: number): Promise<number> =>
  insertSamples(database.sql, [{ host, kind: 'sample', at, boot: newId(), seq: 1, frame: '{}' }]);

test('partitions are there before their time, reach back as far as rows are kept, and go once nothing in them is to be sealed', async () => {
  const database = await freshDatabase(onTestFinished);
  const host = newId();
  let nowMs = start + 1_000;
  await insertAt(database, host, nowMs);
  expect(await partitionOf(database, host)).toEqual(['sample_hot_default']);
  const failures: unknown[] = [];
  const keeper = new PartitionKeeper({
    sql: database.sql,
    clock: { now: () => nowMs },
    retention: async () => retention,
    failed: (error) => failures.push(error),
  });
  await keeper.start();
  onTestFinished(() => keeper.close());
  await insertAt(database, host, start - 2 * partitionMs);
  await insertAt(database, host, start + 6 * partitionMs + 1);
  const names = await partitionOf(database, host);
  expect(new Set(names).size).toBe(3);
  expect(names).not.toContain('sample_hot_default');
  nowMs += 2 * partitionMs;
  await keeper.keep();
  expect(await partitionOf(database, host)).toEqual(names);
  await database.sql`delete from seal_work`;
  await database.sql`update seal_state set listed_until = to_timestamp(${nowMs} / 1000.0)`;
  await keeper.keep();
  expect(await partitionOf(database, host)).toEqual(names.slice(1));
  expect(failures).toEqual([]);
});

test('a round that fails is told of and does not keep the hub from starting', async () => {
  const database = await freshDatabase(onTestFinished);
  await database.close();
  const failures: unknown[] = [];
  const keeper = new PartitionKeeper({
    sql: database.sql,
    clock: { now: () => start },
    retention: async () => retention,
    failed: (error) => failures.push(error),
  });
  await keeper.start();
  expect(failures.length).toBeGreaterThan(0);
  await keeper.close();
});
