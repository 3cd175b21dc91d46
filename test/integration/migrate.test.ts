import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { openDatabase } from '../../src/db/database.ts';
import { DatabaseFault } from '../../src/db/fault.ts';
import { migrate, migrationsFolder, readMigrations, renewEpoch } from '../../src/db/migrate.ts';
import { freshDatabase } from '../support/database.ts';
import { withDatabase } from '../support/databaseUrl.ts';
import { until } from '../support/until.ts';

const silent = pino({ level: 'silent' });

/** A copy of the project's migrations with more of one's own. */
function folderWith(files: Record<string, string>): string {
  const folder = mkdtempSync(join(tmpdir(), 'hostroom-migrations-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  cpSync(migrationsFolder, folder, { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

const newestOwn = readdirSync(migrationsFolder)
  .filter((name) => name.endsWith('.sql'))
  .sort()
  .at(-1)!
  .slice(0, -4);

test('several replicas at the first start apply each migration once and agree on the hub', async () => {
  const { sql, url } = await freshDatabase(onTestFinished, { migrated: false });
  const directory = folderWith({
    '998_slow.sql': '-- takes a moment\nselect pg_sleep(0.2); create table slow (id integer);\n',
    '999_last.sql': '-- the last\ncreate table last (id integer);\n',
  });
  const replicas = await Promise.all([1, 2, 3, 4].map(() => openDatabase({ url, log: silent, maxConnections: 2 })));
  const hubs = await Promise.all(replicas.map((replica) => migrate({ sql: replica.sql, log: silent, apply: true, directory })));
  await Promise.all(replicas.map((replica) => replica.close()));
  expect(new Set(hubs.map((hub) => `${hub.id} ${hub.epoch}`)).size).toBe(1);
  expect(hubs[0]!.id).toMatch(/^[0-9a-f-]{36}$/);
  const applied = await sql`select id from migration order by id`;
  expect(applied.map((row) => row['id'])).toEqual((await readMigrations(directory)).map((each) => each.id));
});

test('a second run changes nothing, and a new epoch is a new one', async () => {
  const { sql } = await freshDatabase(onTestFinished);
  const first = await migrate({ sql, log: silent, apply: true });
  expect(await migrate({ sql, log: silent, apply: true })).toEqual(first);
  const epoch = await renewEpoch(sql);
  expect(epoch).not.toBe(first.epoch);
  expect(await migrate({ sql, log: silent, apply: false })).toEqual({ id: first.id, epoch });
});

test('a failing migration is undone, names its cause, and the ones before it stay', async () => {
  const { sql } = await freshDatabase(onTestFinished);
  const directory = folderWith({
    '900_good.sql': '-- good\ncreate table good (id integer);\n',
    '901_bad.sql': '-- bad\ncreate table half (id integer); select 1 / 0;\n',
  });
  await expect(migrate({ sql, log: silent, apply: true, directory })).rejects.toThrow(
    /901_bad failed and was rolled back: division by zero/,
  );
  const [row] = await sql`select to_regclass('good') is not null as good, to_regclass('half') is not null as half`;
  expect(row).toEqual({ good: true, half: false });
});

test('an older build refuses a newer breaking schema, and accepts one that is not', async () => {
  const { sql } = await freshDatabase(onTestFinished);
  await migrate({
    sql,
    log: silent,
    apply: true,
    directory: folderWith({ '998_more.sql': '-- adds a table\ncreate table more (id integer);\n' }),
  });
  const hub = await migrate({ sql, log: silent, apply: true });
  expect(hub.epoch).not.toBe('');

  await migrate({
    sql,
    log: silent,
    apply: true,
    directory: folderWith({
      '998_more.sql': '-- adds a table\n',
      '999_gone.sql': '-- breaking: renames a table\nalter table more rename to most;\n',
    }),
  });
  for (const apply of [true, false]) {
    const refused: unknown = await migrate({ sql, log: silent, apply }).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(DatabaseFault);
    expect((refused as Error).message).toContain('999_gone');
    expect((refused as Error).message).toContain(newestOwn);
    expect((refused as Error).message).toMatch(/Start that newer version/);
  }
});

test('MIGRATE=off waits for somebody else, and says what to run if nobody comes', async () => {
  const { sql } = await freshDatabase(onTestFinished, { migrated: false });
  await expect(migrate({ sql, log: silent, apply: false, waitMs: 0 })).rejects.toThrow(/lacks 001_start.*npm run migrate/);
  let done = false;
  const waiting = migrate({ sql, log: silent, apply: false }).then((hub) => {
    done = true;
    return hub;
  });
  await until(async () => (await sql`select 1`).length === 1);
  expect(done).toBe(false);
  const made = await migrate({ sql, log: silent, apply: true });
  expect(await waiting).toEqual(made);
});

test('a changed migration that was applied already is a warning', async () => {
  const { sql } = await freshDatabase(onTestFinished);
  await sql`update migration set checksum = 'other' where id = 1`;
  const lines: string[] = [];
  await migrate({ sql, log: pino({ level: 'warn' }, { write: (line) => void lines.push(line) }), apply: true });
  expect(lines.join('')).toContain('changed after it had been applied');
});

test('file names are checked', async () => {
  await expect(readMigrations(folderWith({ '2_short.sql': '-- short\n' }))).rejects.toThrow(/not named NNN_what\.sql/);
  await expect(readMigrations(folderWith({ '001_twice.sql': '-- twice\n' }))).rejects.toThrow(/two migrations have the number 001/);
});

test('a role without the right to create runs the hub once an owner has migrated', async () => {
  const { sql, url } = await freshDatabase(onTestFinished);
  const role = `hostroom_run_${process.pid}_${Date.now()}`;
  await sql.unsafe(`create role ${role} login password 'run'; grant usage on schema public to ${role};
    grant select, insert, update, delete on all tables in schema public to ${role}; grant execute on all functions in schema public to ${role};
    revoke create on schema public from public`);
  const own = await openDatabase({ url: asRole(url, role, 'run'), log: silent, maxConnections: 1 });
  onTestFinished(async () => {
    await own.close();
    await sql.unsafe(`drop owned by ${role}; drop role ${role}`);
  });
  await migrate({ sql: own.sql, log: silent, apply: true });
  await expect(own.sql`create table mine (id integer)`).rejects.toThrow(/permission denied/);
  const [row] = await own.sql`select make_hot_partition('2026-01-01T00:00:00Z', '2026-01-01T00:10:00Z') as made`;
  expect(row).toEqual({ made: true });
  const [dropped] = await own.sql`select drop_hot_partitions('2026-01-02T00:00:00Z') as dropped`;
  expect(dropped).toEqual({ dropped: 1 });
  // With the owner's rights, it must not be led to another table by the caller's search path.
  await expect(own.sql`create temporary table x as select 1`).resolves.toBeDefined();

  const behind = folderWith({ '999_next.sql': '-- next\ncreate table next (id integer);\n' });
  await expect(migrate({ sql: own.sql, log: silent, apply: true, directory: behind })).rejects.toThrow(
    /permission denied.*npm run migrate/s,
  );
});

function asRole(url: string, user: string, password: string): string {
  const query = new URLSearchParams(url.split('?')[1] ?? '');
  query.set('user', user);
  query.set('password', password);
  return `${withDatabase(url, /\/([^/?]+)(\?|$)/.exec(url)?.[1] ?? '').split('?')[0]}?${query.toString().replaceAll('+', '%20')}`;
}
