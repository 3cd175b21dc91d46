/** Opens the database that the hub stands on: the embedded one or a given one, migrated, with its clock. */

import type { Closers } from './lib/closers.ts';
import type { Config } from './config.ts';
import { openDatabase, type Database } from './db/database.ts';
import { startEmbedded } from './db/embedded.ts';
import { startHubClock, type HubClock } from './db/hubClock.ts';
import { migrate, type HubIdentity } from './db/migrate.ts';
import type { Log } from './ops/log.ts';

export interface Storage {
  database: Database;
  identity: HubIdentity;
  clock: HubClock;
}

/** Pushes what it opens on `closers`. Throws DatabaseFault, whose message says what to do. */
export async function openStorage(config: Config, log: Log, closers: Closers): Promise<Storage> {
  const url = config.databaseUrl ?? (await startEmbeddedFor(config, log, closers));
  await migrateAt(config.databaseDirectUrl ?? url, config, log);
  const database = await openDatabase({ url, log, prepare: config.databaseDirectUrl === undefined });
  closers.add('database', () => database.close());
  const identity = await migrate({ sql: database.sql, log, apply: false });
  const clock = await startHubClock({ sql: database.sql, log });
  closers.add('clock', () => clock.close());
  return { database, identity, clock };
}

async function startEmbeddedFor(config: Config, log: Log, closers: Closers): Promise<string> {
  const embedded = await startEmbedded({ dataDir: config.dataDir, log });
  closers.add('embedded PostgreSQL', () => embedded.close());
  return embedded.url;
}

/** Over a connection of its own: behind PgBouncer the schema is changed past it. */
async function migrateAt(url: string, config: Config, log: Log): Promise<void> {
  // That this one was opened is nothing an operator needs to know. A migration may take long.
  const quiet = { debug: log.debug.bind(log), info: log.debug.bind(log), warn: log.warn.bind(log) };
  const database = await openDatabase({ url, log: quiet, maxConnections: 1, statementTimeoutMs: 0 });
  try {
    await migrate({ sql: database.sql, log, apply: config.migrate });
  } finally {
    await database.close();
  }
}
