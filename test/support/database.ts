/** Gives a test its own migrated database on the run's server. */

import { randomBytes } from 'node:crypto';
import { pino } from 'pino';
import { type Database, openDatabase } from '../../src/db/database.ts';
import { withDatabase } from './databaseUrl.ts';

export interface TestDatabase extends Database {
  /** For a part that opens its own pool. */
  url: string;
}

export interface TestDatabaseOptions {
  /** Default: as many as the hub's, 10. */
  maxConnections?: number;
  /** Default true; false: without any table. */
  migrated?: boolean;
}

/** Registers what is to be done after the test: `onTestFinished`, or `afterAll` at the top of a file. */
type WhenDone = (close: () => Promise<void>) => void;

/**
 * A fresh database: `const database = await freshDatabase(onTestFinished)` in a test, or at the top of a file
 * `const database = await freshDatabase(afterAll)`. It is closed and dropped by itself.
 */
export async function freshDatabase(whenDone: WhenDone, options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const { migrated = true, maxConnections } = options;
  const log = pino({ level: process.env.HOSTROOM_TEST_LOG ?? 'silent' });
  const { server, template } = serverOfRun();
  const name = `hostroom_test_${randomBytes(8).toString('hex')}`;
  const admin = await openDatabase({ url: server, log, maxConnections: 1 });
  const { sql } = admin;
  await (migrated
    ? sql`create database ${sql(name)} template ${sql(template)}`
    : sql`create database ${sql(name)} template template0 encoding 'UTF8'`);
  const url = withDatabase(server, name);
  const database = await openDatabase({ url, log, maxConnections });
  whenDone(async () => {
    await database.close();
    // Also where the tested part forgot a connection.
    await sql`drop database if exists ${sql(name)} with (force)`;
    await admin.close();
  });
  return { ...database, url };
}

/** The run's server and its migrated template database, made by globalDatabase.ts. */
export function serverOfRun(): { server: string; template: string } {
  const { HOSTROOM_TEST_DATABASE_URL: server, HOSTROOM_TEST_TEMPLATE: template } = process.env;
  if (!server || !template) throw new Error('globalDatabase.ts did not run; start the tests with "npm test" or "npx vitest run"');
  return { server, template };
}
