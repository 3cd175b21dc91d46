/** Gives one test run its PostgreSQL server with a migrated template database, before any test file starts. */

import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { openDatabase } from '../../src/db/database.ts';
import { startEmbedded } from '../../src/db/embedded.ts';
import { migrate } from '../../src/db/migrate.ts';
import { withDatabase } from './databaseUrl.ts';
import { postgresBinaries } from './postgresBinaries.ts';

/**
 * DATABASE_URL names a server to run on, whose role must be allowed to create databases; without it an embedded one is started, of the
 * version HOSTROOM_TEST_PG (15 to 18, default 18). Test files find what was made in HOSTROOM_TEST_DATABASE_URL and HOSTROOM_TEST_TEMPLATE.
 */
export default async function setup(): Promise<() => Promise<void>> {
  const log = pino({ level: process.env.HOSTROOM_TEST_LOG ?? 'silent' });
  const closers: (() => Promise<void> | void)[] = [];
  const close = async (): Promise<void> => {
    for (let step = closers.pop(); step; step = closers.pop()) await step();
  };
  try {
    const given = process.env.HOSTROOM_TEST_DATABASE_URL ?? process.env.DATABASE_URL;
    const url = given ?? (await startOwn());
    const template = `hostroom_template_${process.pid}`;
    const server = await openDatabase({ url, log, maxConnections: 1 });
    closers.push(() => server.close());
    await server.sql`create database ${server.sql(template)} template template0 encoding 'UTF8'`;
    closers.push(async () => void (await server.sql`drop database ${server.sql(template)} with (force)`));
    const inside = await openDatabase({ url: withDatabase(url, template), log, maxConnections: 1 });
    await migrate({ sql: inside.sql, log, apply: true });
    await inside.close();
    process.env.HOSTROOM_TEST_DATABASE_URL = url;
    process.env.HOSTROOM_TEST_TEMPLATE = template;
  } catch (error) {
    await close();
    throw error;
  }
  return close;

  async function startOwn(): Promise<string> {
    const dataDir = mkdtempSync(join(tmpdir(), 'hostroom-test-'));
    // For root: PostgreSQL's user has to enter.
    chmodSync(dataDir, 0o755);
    closers.push(() => rmSync(dataDir, { recursive: true, force: true }));
    const embedded = await startEmbedded({
      dataDir: join(dataDir, 'data'),
      log,
      binaries: postgresBinaries(process.env.HOSTROOM_TEST_PG ?? '18'),
      // The data live as long as the run; several test files at once each open pools.
      settings: { fsync: 'off', max_connections: '200' },
    });
    closers.push(() => embedded.close());
    return embedded.url;
  }
}
