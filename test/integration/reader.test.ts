/** Long readings on a real database: how many at once, and how they end. */

import { expect, onTestFinished, test } from 'vitest';
import type { Database } from '../../src/db/database.ts';
import { Reader } from '../../src/db/reader.ts';
import type { ReaderOptions } from '../../src/db/reader.ts';
import { freshDatabase } from '../support/database.ts';
import { until } from '../support/until.ts';

async function start(
  options: Partial<ReaderOptions> = {},
): Promise<{ database: Database; reader: Reader; sleeping: () => Promise<number> }> {
  const database = await freshDatabase(onTestFinished, { maxConnections: 5 });
  const reader = new Reader({ sql: database.sql, ...options });
  onTestFinished(() => reader.close());
  const sleeping = async (): Promise<number> => {
    const [{ count }] = await database.sql<[{ count: number }]>`
      select count(*)::int from pg_stat_activity where state = 'active' and query like '%pg_sleep%' and pid <> pg_backend_pid() and datname = current_database()`;
    return count;
  };
  return { database, reader, sleeping };
}

const sleep = (reader: Reader, signal: AbortSignal = new AbortController().signal): Promise<unknown> =>
  reader.read(signal, ({ sql }) => sql`select pg_sleep(600)`);

test('a reading sees one state of the database, and cannot write', async () => {
  const { database, reader } = await start();
  await database.sql`create table thing (n integer)`;
  const seen = await reader.read(new AbortController().signal, async ({ sql }) => {
    const before = await sql`select * from thing`;
    await database.sql`insert into thing values (1)`;
    return [before.length, (await sql`select * from thing`).length];
  });
  expect(seen).toEqual([0, 0]);
  const writing = reader.read(new AbortController().signal, ({ sql }) => sql`insert into thing values (2)`);
  await expect(writing).rejects.toMatchObject({ code: '25006' });
});

test('who leaves ends the statement in PostgreSQL, and nobody else’s', async () => {
  const { database, reader, sleeping } = await start({ atOnce: 1 });
  for (let round = 0; round < 20; round++) {
    const leaving = new AbortController();
    const left = sleep(reader, leaving.signal);
    // Sooner and later in its life.
    if (round % 2 === 0) await until(async () => (await sleeping()) === 1);
    leaving.abort();
    await expect(left).rejects.toMatchObject({ fault: 'left' });
    // The next one, on the same connections.
    expect(await reader.read(new AbortController().signal, async ({ sql }) => (await sql`select 1 as n`)[0]!['n'])).toBe(1);
    await Promise.all(Array.from({ length: 4 }, () => database.sql`select 1`));
  }
  await until(async () => (await sleeping()) === 0);
});

test('a reading that takes too long ends, in PostgreSQL and between statements', async () => {
  const { reader, sleeping } = await start({ timeoutMs: 100 });
  await expect(sleep(reader)).rejects.toMatchObject({ fault: 'late' });
  await until(async () => (await sleeping()) === 0);
  const computing = reader.read(new AbortController().signal, async ({ breathe }) => {
    for (;;) await breathe();
  });
  await expect(computing).rejects.toMatchObject({ fault: 'late' });
});

test('so many at once, so many wait, more are turned away; who waits may leave', async () => {
  const { reader, sleeping } = await start({ atOnce: 2, waiting: 2 });
  const leaving = Array.from({ length: 4 }, () => new AbortController());
  const ends = leaving.map(({ signal }) => sleep(reader, signal).catch((error: unknown) => (error as { fault: string }).fault));
  await until(async () => (await sleeping()) === 2);
  await expect(sleep(reader)).rejects.toMatchObject({ fault: 'busy' });
  leaving[2]!.abort();
  expect(await ends[2]).toBe('left');
  leaving[0]!.abort();
  expect(await ends[0]).toBe('left');
  await until(async () => (await sleeping()) === 2);
  reader.close();
  expect(await Promise.all(ends)).toEqual(['left', 'closed', 'left', 'closed']);
  await expect(sleep(reader)).rejects.toMatchObject({ fault: 'closed' });
  await until(async () => (await sleeping()) === 0);
});

test('a failure of its own is passed on, and the turn goes on', async () => {
  const { reader } = await start({ atOnce: 1 });
  const failing = reader.read(new AbortController().signal, () => Promise.reject(new Error('own')));
  await expect(failing).rejects.toThrow('own');
  await expect(reader.read(new AbortController().signal, ({ sql }) => sql`select 1/0`)).rejects.toMatchObject({ code: '22012' });
  expect(await reader.read(new AbortController().signal, () => Promise.resolve(7))).toBe(7);
});
