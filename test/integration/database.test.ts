import { createServer } from 'node:net';
import { pino } from 'pino';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { parseDatabaseUrl } from '../../src/db/address.ts';
import { type Pool, isAway, openDatabase } from '../../src/db/database.ts';
import { DatabaseFault } from '../../src/db/fault.ts';
import { freshDatabase, serverOfRun } from '../support/database.ts';
import { withDatabase } from '../support/databaseUrl.ts';
import { until } from '../support/until.ts';

const log = pino({ level: 'silent' });
const database = await freshDatabase(afterAll, { maxConnections: 4 });
const other = await openDatabase({ url: database.url, log, maxConnections: 1 });
afterAll(() => other.close());

/** What a person reads when the hub cannot start with this DATABASE_URL. */
async function faultOf(url: string): Promise<string> {
  const opened = openDatabase({ url, log, waitMs: 0, maxConnections: 1 });
  const error: unknown = await opened.then(
    async (wrongly) => {
      await wrongly.close();
      return 'it opened';
    },
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(DatabaseFault);
  return (error as Error).message;
}

describe('a wrong DATABASE_URL says what is wrong', () => {
  test.each([
    ['mysql://root:secret@localhost/hostroom', /begins with "mysql:"/],
    ['localhost:5432/hostroom', /not a PostgreSQL URL/],
    ['postgres://localhost/hostroom', /names no user/],
    ['postgres://me:secret@localhost', /names no database/],
    ['postgres://me:secret@localhost:65536/hostroom', /port "65536"/],
    ['postgres://me:50%secret@localhost/hostroom', /write a literal % as %25/],
    ['postgres://me:secret@localhost/hostroom?sslmod=require', /unknown parameter "sslmod"/],
    ['postgres://me:secret@localhost/hostroom?sslmode=yes', /sslmode=yes/],
    ['postgres://me:secret@localhost/hostroom?target_session_attrs=standby', /hostroom writes/],
    ['postgres://me:secret@no-such-host.invalid/hostroom', /host of .* is unknown/],
    ['postgres://me:secret@127.0.0.1:1/hostroom', /nothing answers at 127\.0\.0\.1:1.*Start PostgreSQL there/],
    ['postgres://me:secret@/hostroom?host=/nowhere', /nothing answers at/],
  ])('%s', async (url, words) => {
    const message = await faultOf(url);
    expect(message).toMatch(words);
    expect(message).not.toContain('secret');
  });

  test('no such database', async () => {
    expect(await faultOf(withDatabase(serverOfRun().server, 'not_there'))).toMatch(/there is no database "not_there".*create database/);
  });

  test('a wrong password', async () => {
    const { server } = serverOfRun();
    const wrong = server.includes('password=')
      ? server.replace(/password=[^&]*/, 'password=wrong')
      : server.replace(/:[^:@/]*@/, ':wrong@');
    const message = await faultOf(wrong);
    expect(message).toMatch(/refuses the user .* Check user and password/);
    expect(message).not.toContain(':wrong@');
  });

  test('something that is not PostgreSQL', async () => {
    const server = createServer((socket) => socket.resume().end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => new Promise((resolve) => server.close(() => resolve())));
    const { port } = server.address() as { port: number };
    expect(await faultOf(`postgres://me:secret@127.0.0.1:${port}/hostroom`)).toMatch(
      /closed the connection|did not answer as PostgreSQL|cannot be used/,
    );
  });

  test('a database of another encoding, and one that is read only', async () => {
    const { sql } = database;
    const name = `hostroom_test_latin_${process.pid}`;
    await sql.unsafe(`create database ${name} template template0 encoding 'LATIN1' locale 'C'`);
    onTestFinished(async () => void (await sql.unsafe(`drop database ${name} with (force)`)));
    expect(await faultOf(withDatabase(database.url, name))).toMatch(/encoding LATIN1.*UTF8/);
    await sql.unsafe(`alter database ${name} set default_transaction_read_only = on`);
    expect(await faultOf(withDatabase(database.url, name))).toMatch(/read-only transactions.*primary/);
  });
});

test('addresses are read as libpq does', () => {
  const read = (url: string): unknown => {
    const { hosts, ports, database: name, username, password } = parseDatabaseUrl(url);
    return { hosts, ports, name, username, password };
  };
  const me = { name: 'hub', username: 'me', password: 'a:b@c/d' };
  expect(read('postgres://me:a%3Ab%40c%2Fd@db/hub')).toEqual({ ...me, hosts: ['db'], ports: [5432] });
  expect(read('postgresql://me:a%3Ab%40c%2Fd@db1:1,db2:2/hub')).toEqual({ ...me, hosts: ['db1', 'db2'], ports: [1, 2] });
  expect(read('postgres://me:a%3Ab%40c%2Fd@[::1]:7/hub')).toEqual({ ...me, hosts: ['::1'], ports: [7] });
  expect(read('postgres:///hub?host=%2Ftmp%2Fa%20b&user=me&password=a%3Ab%40c%2Fd')).toEqual({ ...me, hosts: ['/tmp/a b'], ports: [5432] });
});

test('values come as the data functions expect them', async () => {
  const { sql } = database;
  const [row] = await sql`
    select 9007199254740991::bigint as big, '2026-01-02T03:04:05.678Z'::timestamptz as at, '\\x0102'::bytea as bytes, '{"a": [1]}'::jsonb as json`;
  expect(row).toEqual({
    big: Number.MAX_SAFE_INTEGER,
    at: new Date('2026-01-02T03:04:05.678Z'),
    bytes: Buffer.from([1, 2]),
    json: { a: [1] },
  });
  await expect(sql`select 9007199254740993::bigint as big`).rejects.toThrow(/does not fit a number/);
  expect(await database.ping()).toBeGreaterThan(0);
});

/** The connections of a pool as the server sees them, cut. */
async function cutAll(sql: Pool): Promise<void> {
  await sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`;
}

describe('lost connections', () => {
  test('tell themselves apart from refused data', async () => {
    const { sql } = database;
    const refused: unknown = await sql`select 1 / 0`.catch((error: unknown) => error);
    expect(isAway(refused)).toBe(false);
    expect(isAway(await sql`insert into host_group (id, name) values ('x', 'y')`.catch((error: unknown) => error))).toBe(false);
    const sleeping = sql`select pg_sleep(20)`.catch((error: unknown) => error);
    await until(
      async () => (await other.sql`select 1 from pg_stat_activity where query like 'select pg_sleep(20)%' and state = 'active'`).length > 0,
    );
    await cutAll(other.sql);
    expect(isAway(await sleeping)).toBe(true);
    await until(() => sql`select 1`.then(Boolean, () => false), 'the pool reconnects');
    expect(isAway(Object.assign(new Error('x'), { code: 'ECONNREFUSED' }))).toBe(true);
    expect(isAway(new TypeError('a mistake'))).toBe(false);
  });

  test('in a transaction: it fails, nothing of it runs elsewhere, the process lives', async () => {
    const { sql } = database;
    await sql`create table trace (what text)`;
    let cut: (() => void) | undefined;
    const wasCut = new Promise<void>((resolve) => (cut = resolve));
    let began = false;
    const lost = sql
      .begin(async (tx) => {
        await tx`insert into trace values ('before')`;
        began = true;
        await wasCut;
        await tx`insert into trace values ('after')`;
      })
      .catch((error: unknown) => error);
    await until(() => began);
    await cutAll(other.sql);
    // Others use the slot again before the transaction goes on.
    await until(() => sql`select 1`.then(Boolean, () => false));
    await Promise.all(Array.from({ length: 20 }, () => sql`select pg_sleep(0.01)`));
    cut?.();
    expect(isAway(await lost)).toBe(true);
    await new Promise((resolve) => setImmediate(resolve));
    expect(await sql`select * from trace`).toHaveLength(0);
  });

  test('all of them at once, again and again, under load: every slot of the pool recovers', async () => {
    const { sql } = database;
    let wanted = 200;
    let lost = 0;
    const callers = Array.from({ length: 20 }, async () => {
      while (wanted > 0) {
        try {
          await sql.begin(async (tx) => {
            await tx`select 1`;
            await tx`select pg_sleep(0.001)`;
          });
          wanted--;
        } catch (error) {
          if (!isAway(error)) throw error;
          lost++;
        }
      }
    });
    const done = Promise.all(callers).then(() => true);
    let finished = false;
    void done.then(() => (finished = true));
    while (!finished && lost < 40) await cutAll(other.sql);
    await done;
    expect(lost).toBeGreaterThan(0);
    const slots = await Promise.all(Array.from({ length: 4 }, () => sql`select pg_backend_pid() as pid, pg_sleep(0.2)`));
    expect(new Set(slots.map(([row]) => row!['pid'])).size).toBe(4);
  });

  test('a burst of statements never comes into a transaction', async () => {
    const { sql } = database;
    await sql`create table burst (n integer)`;
    const one = await openDatabase({ url: database.url, log, maxConnections: 1 });
    onTestFinished(() => one.close());
    const statements: Promise<unknown>[] = [];
    for (let i = 0; i < 120; i++) statements.push(one.sql`insert into burst values (${i})`);
    const undone = one.sql
      .begin(async (tx) => {
        await tx`insert into burst values (-1)`;
        throw new Error('undo');
      })
      .catch((error: Error) => error.message);
    for (let i = 0; i < 120; i++) statements.push(one.sql`insert into burst values (${i})`);
    await Promise.all(statements);
    expect(await undone).toBe('undo');
    expect(await sql`select count(*)::int as rows, min(n) as least from burst`).toEqual([{ rows: 240, least: 0 }]);
  });
});
