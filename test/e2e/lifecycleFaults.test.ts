/** What is wrong at a start is said in plain words, all at once, and damages nothing. */

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openDatabase } from '../../src/db/database.ts';
import { runningEmbedded } from '../../src/db/embedded.ts';
import { freshDatabase } from '../support/database.ts';
import { log } from '../support/embedded.ts';
import { makeRunFolder, processesIn, run, type RunOptions } from '../support/hostroom.ts';
import { until } from '../support/until.ts';

const secretKey = Buffer.alloc(32, 7).toString('base64');

/** Starts what must not start; gives back what it said to the person, without the log. */
async function refused(dataDir: string, options: RunOptions): Promise<{ code: number | null; said: string; output: string }> {
  const hub = await run(dataDir, options);
  const { code, signal } = await hub.ended;
  expect(signal).toBeNull();
  expect(processesIn(dataDir)).toEqual([]);
  const output = hub.output();
  // Never a stack for what a person can mend.
  expect(output).not.toMatch(/\n\s+at .*\.ts:\d+/);
  const said = output
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('{"level":'))
    .join('\n');
  return { code, said, output };
}

async function listen(): Promise<{ server: Server; port: string }> {
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((done) => void server.listen(0, '127.0.0.1', done));
  onTestFinished(() => void server.close());
  const address = server.address();
  return { server, port: String(typeof address === 'object' && address ? address.port : 0) };
}

for (const program of ['start', 'main', 'migrateMain'] as const) {
  test(`all faults of the configuration at once, exit code 2, nothing made (${program})`, async () => {
    const dataDir = join(makeRunFolder(onTestFinished), 'data');
    const environment = {
      PORT: '80800',
      DATABASE_URL: 'mysql://root:hunter22@db/x',
      SHUTDOWN_GRACE: 'soon',
      ADMIN_EMAIL: 'admin@example.com',
      LIMIT_SUBSCRIPTIONS: '-1',
      RETENTION_RAW: 'forever',
    };
    const { code, said, output } = await refused(dataDir, { program, environment });
    expect(code).toBe(2);
    for (const name of Object.keys({ ...environment, ADMIN_PASSWORD: '', SECRET_KEY: '' }))
      if (!['ADMIN_EMAIL', 'SECRET_KEY'].includes(name)) expect(said).toContain(`  ${name}: `);
    expect(output).not.toContain('hunter22');
    expect(existsSync(dataDir)).toBe(false);
  });
}

test('DATABASE_URL without SECRET_KEY', async () => {
  const dataDir = join(makeRunFolder(onTestFinished), 'data');
  const { code, said } = await refused(dataDir, { environment: { DATABASE_URL: 'postgres://u:p@127.0.0.1/x' } });
  expect(code).toBe(2);
  expect(said).toMatch(/SECRET_KEY: is required with DATABASE_URL; make one with: openssl rand -base64 32/);
});

for (const name of ['PORT', 'OPS_PORT'] as const) {
  test(`a taken ${name}`, { timeout: 60_000 }, async () => {
    const dataDir = join(makeRunFolder(onTestFinished), 'data');
    const { port } = await listen();
    const { code, said } = await refused(dataDir, { environment: { [name]: port } });
    expect(code).toBe(1);
    expect(said).toMatch(new RegExp(`^${name}: port ${port} is taken by another program\\. .*set ${name} to a free port`));
    // The same folder, a free port: it starts.
    await (await run(dataDir)).ready();
  });
}

test('a wrong DATABASE_URL: what is wrong with it, never its password', { timeout: 120_000 }, async () => {
  const dataDir = join(makeRunFolder(onTestFinished), 'data');
  const database = await freshDatabase(onTestFinished, { migrated: false });
  const other = await listen();
  const own = new URL(database.url.replace('postgres:///', 'postgres://host/'));
  const change = (edit: (url: URL) => void): string => {
    const url = new URL(own);
    edit(url);
    return url.href.replace('postgres://host/', 'postgres:///');
  };
  const setPassword = (url: URL): void => {
    if (url.searchParams.has('password')) url.searchParams.set('password', 'topsecret1');
    else url.password = 'topsecret1';
  };
  const cases: [string, string, RegExp][] = [
    [
      'nobody listens',
      'postgres://me:topsecret1@127.0.0.1:1/x',
      /^DATABASE_URL: nothing answers at 127\.0\.0\.1:1 \(ECONNREFUSED\)\. Start PostgreSQL/,
    ],
    ['an unknown host', 'postgres://me:topsecret1@nowhere.invalid/x', /^DATABASE_URL: the host of .* is unknown/],
    [
      'not PostgreSQL',
      `postgres://me:topsecret1@127.0.0.1:${other.port}/x`,
      /^DATABASE_URL: .* closed the connection; perhaps that port is not/,
    ],
    ['a wrong password', change(setPassword), /^DATABASE_URL: PostgreSQL at .* refuses the user/],
    ['no such database', change((url) => (url.pathname = '/missing')), /^DATABASE_URL: there is no database "missing".*create database/],
  ];
  await Promise.all(
    cases.map(async ([what, url, expected], index) => {
      const { code, said, output } = await refused(`${dataDir}${index}`, { environment: { DATABASE_URL: url, SECRET_KEY: secretKey } });
      expect({ what, code, said }).toEqual({ what, code: 1, said: expect.stringMatching(expected) });
      expect(output).not.toContain('topsecret1');
    }),
  );
});

test('two starts in the same folder: the second says whose it is, the first does not notice', { timeout: 60_000 }, async () => {
  const folder = makeRunFolder(onTestFinished);
  const first = await run(folder);
  await first.ready();
  const ports = { PORT: first.url.split(':')[2], OPS_PORT: first.opsUrl.split(':')[2] };
  for (const environment of [{}, ports]) {
    const second = await run(folder, { environment });
    expect(await second.ended).toEqual({ code: 1, signal: null });
    expect(second.output()).toContain(`already in use by pid ${first.child.pid}. Stop that hostroom first, or set DATA_DIR`);
  }
  expect((await fetch(`${first.opsUrl}/readyz`)).status).toBe(200);
  const starts = await Promise.all([run(join(folder, 'cold')), run(join(folder, 'cold'))]);
  // At once and cold: one of them has it.
  const ends = await Promise.all(
    starts.map((hub) =>
      hub.ready().then(
        () => 'ready',
        () => 'refused',
      ),
    ),
  );
  expect(ends.toSorted()).toEqual(['ready', 'refused']);
});

test('a data folder of a newer PostgreSQL, a damaged one: said, and nothing in it is changed', { timeout: 60_000 }, async () => {
  const folder = makeRunFolder(onTestFinished);
  const hub = await run(folder);
  await hub.ready();
  hub.signal('SIGTERM');
  await hub.ended;
  const cluster = join(folder, 'postgres/cluster');
  const versionFile = join(cluster, 'PG_VERSION');
  const version = readFileSync(versionFile, 'utf8');
  const control = readFileSync(join(cluster, 'global/pg_control'));
  writeFileSync(versionFile, '99\n');
  const newer = await refused(folder, {});
  expect(newer.code).toBe(1);
  expect(newer.said).toMatch(/was made by PostgreSQL 99, this hostroom brings PostgreSQL \d+\. Start the newer hostroom/);
  expect(readFileSync(join(cluster, 'global/pg_control'))).toEqual(control);
  writeFileSync(versionFile, version);
  const password = readFileSync(join(folder, 'postgres/password'));
  writeFileSync(join(folder, 'postgres/password'), 'another');
  const locked = await refused(folder, {});
  expect(locked).toMatchObject({ code: 1, said: expect.stringContaining('embedded PostgreSQL runs but cannot be used') });
  writeFileSync(join(folder, 'postgres/password'), password);
  await (await run(folder)).ready();
});

test('a schema of a newer, breaking hostroom: said, nothing changed; a newer fitting one starts', { timeout: 60_000 }, async () => {
  const folder = makeRunFolder(onTestFinished);
  const hub = await run(folder);
  await hub.ready();
  const addMigration = async (id: number, breaking: boolean): Promise<void> => {
    const database = await openDatabase({ url: runningEmbedded(folder)!, log, maxConnections: 1 });
    await database.sql`insert into migration (id, name, breaking, checksum) values (${id}, ${`${id}_later`}, ${breaking}, '')`;
    await database.close();
  };
  await addMigration(900, false);
  hub.signal('SIGTERM');
  await hub.ended;
  const fitting = await run(folder);
  await fitting.ready();
  await until(() => fitting.output().includes('newer than this build, but fits it'));
  await addMigration(901, true);
  fitting.signal('SIGTERM');
  await fitting.ended;
  for (const program of ['start', 'main', 'migrateMain'] as const) {
    const { code, said } = await refused(folder, { program });
    expect({ program, code, said }).toEqual({
      program,
      code: 1,
      said: expect.stringMatching(/migrated by a newer hostroom: its schema needs at least 901_later.*Start that newer version/),
    });
  }
});

test('a DATA_DIR that is a file, or may not be made', async () => {
  const folder = makeRunFolder(onTestFinished);
  writeFileSync(join(folder, 'file'), '');
  mkdirSync(join(folder, 'ok'));
  for (const dataDir of [join(folder, 'file'), join(folder, 'file/below'), '/proc/hostroom']) {
    const { code, said } = await refused(dataDir, {});
    expect({ dataDir, code, said }).toEqual({ dataDir, code: 1, said: expect.stringContaining('DATA_DIR') });
  }
});
