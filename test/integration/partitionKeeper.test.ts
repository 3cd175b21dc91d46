import { expect, onTestFinished, test } from 'vitest';
import { PartitionKeeper, partitionMs } from '../../src/data/partitions.ts';
import { insertSamples } from '../../src/data/samples.ts';
import { newId } from '../../src/lib/id.ts';
import { freshDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';

const hour = Math.floor(Date.now() / partitionMs) * partitionMs;

const partitionOf = async ({ sql }: TestDatabase, host: string): Promise<string[]> =>
  (await sql<{ name: string }[]>`select tableoid::regclass::text as name from sample_hot where host = ${host} order by at`).map(
    (row) => row.name,
  );

const insertAt = (database: TestDatabase, host: string, at: number): Promise<number> =>
  insertSamples(database.sql, [{ host, kind: 'sample', at, boot: newId(), seq: 1, frame: '{}' }]);

test('partitions are there before their hour, cover the retention, and go behind it', async () => {
  const database = await freshDatabase(onTestFinished);
  const host = newId();
  let nowMs = hour + 1_000;
  await insertAt(database, host, nowMs);
  expect(await partitionOf(database, host)).toEqual(['sample_hot_default']);
  const failures: unknown[] = [];
  const keeper = new PartitionKeeper({
    sql: database.sql,
    clock: { now: () => nowMs },
    retentionRawMs: 3 * partitionMs,
    failed: (error) => failures.push(error),
  });
  await keeper.start();
  onTestFinished(() => keeper.close());
  await insertAt(database, host, hour - 2 * partitionMs);
  await insertAt(database, host, hour + 3 * partitionMs + 1);
  const names = await partitionOf(database, host);
  expect(new Set(names).size).toBe(3);
  expect(names).not.toContain('sample_hot_default');
  nowMs += 2 * partitionMs;
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
    clock: { now: () => hour },
    retentionRawMs: partitionMs,
    failed: (error) => failures.push(error),
  });
  await keeper.start();
  expect(failures).toHaveLength(1);
  await keeper.close();
});
