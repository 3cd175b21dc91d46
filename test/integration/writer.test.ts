import { expect, onTestFinished, test } from 'vitest';
import { insertSamples } from '../../src/data/samples.ts';
import type { SampleRow } from '../../src/data/samples.ts';
import { SampleWriter, WriteError } from '../../src/data/writer.ts';
import type { WriterOptions } from '../../src/data/writer.ts';
import { newId } from '../../src/lib/id.ts';
import { freshDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { serverOfRun } from '../support/database.ts';
import { openDatabase } from '../../src/db/database.ts';
import { until } from '../support/until.ts';

async function start(options: Partial<WriterOptions> = {}): Promise<{ database: TestDatabase; writer: SampleWriter; refused: string[] }> {
  const database = await freshDatabase(onTestFinished);
  const refused: string[] = [];
  const writer = new SampleWriter({
    sql: database.sql,
    probeMs: 50,
    refused: (fault, rows) => void refused.push(`${fault} ${rows}`),
    ...options,
  });
  onTestFinished(() => writer.close(1_000));
  return { database, writer, refused };
}

const boot = newId();
let count = 0;
const row = (over: Partial<SampleRow> = {}): SampleRow => {
  const seq = ++count;
  return {
    host: newId(),
    kind: 'sample',
    at: 1_700_000_000_000 + seq,
    boot,
    seq,
    frame: `{"seq":${seq},"text":"a\\"\\\\b {x,y} ü"}`,
    ...over,
  };
};

const fault = (promise: Promise<void>): Promise<string> =>
  promise.then(
    () => 'committed',
    (error: unknown) => (error as WriteError).fault,
  );

const stored = async (database: TestDatabase): Promise<number> => (await database.sql`select from sample_hot`).count;

test('rows come back byte by byte as they were given', async () => {
  const { database, writer } = await start();
  const rows = Array.from({ length: 300 }, () => row());
  await Promise.all(rows.map((one) => writer.add(one)));
  const found = await database.sql<SampleRow[]>`
    select host, kind, (extract(epoch from at) * 1000)::float8 as at, boot, seq, convert_from(frame, 'UTF8') as frame from sample_hot order by seq`;
  expect([...found]).toEqual(rows);
  expect(writer.depth).toEqual({ rows: 0, bytes: 0 });
});

test('many rows share few commits', async () => {
  const batches: number[] = [];
  const { writer } = await start({ batch: (rows) => void batches.push(rows) });
  await Promise.all(Array.from({ length: 2_000 }, () => writer.add(row())));
  expect(batches.reduce((sum, rows) => sum + rows, 0)).toBe(2_000);
  expect(batches.length).toBeLessThan(5);
});

test('a batch with bad rows loses only those', async () => {
  const { database, writer, refused } = await start();
  const bad = new Set([0, 63, 64, 199]);
  const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => fault(writer.add(bad.has(i) ? row({ seq: 1e30 }) : row()))));
  answers.forEach((answer, i) => expect(answer).toBe(bad.has(i) ? 'data' : 'committed'));
  expect(await stored(database)).toBe(196);
  expect(refused).toEqual(['data 1', 'data 1', 'data 1', 'data 1']);
  expect(writer.isStoring).toBe(true);
});

test('a resend counts as committed, another publication at the same place does not', async () => {
  const { database, writer } = await start();
  const first = row();
  expect(await Promise.all([fault(writer.add(first)), fault(writer.add(first))])).toEqual(['committed', 'committed']);
  const answers = [first, row(), row({ host: first.host, at: first.at }), row({ host: first.host, at: first.at, kind: 'processes' })];
  expect(await Promise.all(answers.map((one) => fault(writer.add(one))))).toEqual(['committed', 'committed', 'conflict', 'committed']);
  expect(await stored(database)).toBe(3);
});

test('a full queue refuses at once, a backlog earlier than what is live', async () => {
  const { database, writer } = await start({ maxRows: 10 });
  const blocked = Promise.withResolvers<void>();
  const held = database.sql.begin(async (tx) => {
    await tx`lock table sample_hot in exclusive mode`;
    await blocked.promise;
  });
  await until(
    async () =>
      (await database.sql`select from pg_locks where mode = 'ExclusiveLock' and relation = 'sample_hot'::regclass and granted`).count > 0,
  );
  const backlog = Array.from({ length: 6 }, () => fault(writer.add(row(), 0.5)));
  expect(await backlog[5]).toBe('full');
  const live = Array.from({ length: 6 }, () => fault(writer.add(row())));
  expect(await live[5]).toBe('full');
  expect(writer.depth.rows).toBe(10);
  blocked.resolve();
  await held;
  expect(await Promise.all([...backlog.slice(0, 5), ...live.slice(0, 5)])).toEqual(Array(10).fill('committed'));
});

test('bytes are bounded too', async () => {
  const { writer } = await start({ maxBytes: 1_000 });
  const answers = [fault(writer.add(row({ frame: 'x'.repeat(900) }))), fault(writer.add(row({ frame: 'x'.repeat(101) })))];
  expect(await Promise.all(answers)).toEqual(['committed', 'full']);
});

test('a database that is away refuses at once, and is found again', async () => {
  const changes: boolean[] = [];
  const { database, writer } = await start({ away: (away) => void changes.push(away), doubtMs: 100 });
  await writer.add(row());
  const { server } = serverOfRun();
  const admin = await openDatabase({ url: server, log: { debug: () => {}, info: () => {}, warn: () => {} }, maxConnections: 1 });
  onTestFinished(() => admin.close());
  const name = new URL(database.url).pathname.slice(1);
  await admin.sql`alter database ${admin.sql(name)} allow_connections false`;
  await admin.sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = ${name}`;
  expect(await fault(writer.add(row()))).toBe('away');
  expect(writer.isStoring).toBe(false);
  expect(await fault(writer.add(row()))).toBe('away');
  expect(writer.depth).toEqual({ rows: 0, bytes: 0 });
  await admin.sql`alter database ${admin.sql(name)} allow_connections true`;
  await until(() => writer.isStoring);
  expect(await fault(writer.add(row()))).toBe('committed');
  expect(changes).toEqual([true, false]);
});

test('a database that does not answer counts as away', async () => {
  const { database, writer } = await start({ timeoutMs: 1_000, doubtMs: 100 });
  const blocked = Promise.withResolvers<void>();
  const held = database.sql.begin(async (tx) => {
    await tx`lock table sample_hot in exclusive mode`;
    await blocked.promise;
  });
  await until(
    async () =>
      (await database.sql`select from pg_locks where mode = 'ExclusiveLock' and relation = 'sample_hot'::regclass and granted`).count > 0,
  );
  const waiting = fault(writer.add(row()));
  await until(() => !writer.isStoring);
  expect(writer.depth.rows).toBe(1);
  expect(await waiting).toBe('away');
  blocked.resolve();
  await held;
  await until(async () => (await fault(writer.add(row()))) === 'committed');
  expect(writer.isStoring).toBe(true);
});

test('a database that answers but commits nothing is not taken for back', async () => {
  const changes: boolean[] = [];
  const { database, writer } = await start({ away: (away) => void changes.push(away), probeMs: 20, doubtMs: 60_000 });
  expect(writer.isStoring).toBe(true);
  await database.sql`alter table sample_hot rename to elsewhere`;
  expect(await fault(writer.add(row()))).toBe('away');
  await until(() => changes.at(-1) === false);
  expect(writer.isStoring).toBe(false);
  await database.sql`alter table elsewhere rename to sample_hot`;
  expect(await fault(writer.add(row()))).toBe('committed');
  expect(writer.isStoring).toBe(true);
});

test('closing commits what waits and refuses what comes', async () => {
  const { database, writer } = await start({ gatherMs: 10_000 });
  await writer.add(row());
  const waiting = Array.from({ length: 20 }, () => fault(writer.add(row())));
  await writer.close();
  expect(await Promise.all(waiting)).toEqual(Array(20).fill('committed'));
  expect(await fault(writer.add(row()))).toBe('closed');
  expect(await stored(database)).toBe(21);
});

test('insertSamples tells how many were new', async () => {
  const database = await freshDatabase(onTestFinished);
  const rows = [row(), row()];
  expect(await insertSamples(database.sql, rows)).toBe(2);
  expect(await insertSamples(database.sql, [...rows, row()])).toBe(1);
});
