/** Brings the schema to the version that this build needs. */

import { createHash, randomBytes } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { BaseLogger } from 'pino';
import { newId } from '../lib/id.ts';
import type { Pool, Sql } from './database.ts';
import { DatabaseFault } from './fault.ts';

export interface Migration {
  id: number;
  /** The file's name without `.sql`. */
  name: string;
  /** An older build must not run on the schema after this one. */
  breaking: boolean;
  text: string;
  checksum: string;
}

interface Applied {
  id: number;
  name: string;
  breaking: boolean;
  checksum: string;
}

export interface MigrateOptions {
  sql: Pool;
  log: Pick<BaseLogger, 'info' | 'warn'>;
  /** False: apply nothing, wait up to `waitMs` (default 120,000) until somebody else has. */
  apply: boolean;
  waitMs?: number;
  /** Default: the project's migrations/. */
  directory?: string;
}

/** The database's own identity: `id` names the hub in agents' tokens, `epoch` this life of the conversation streams. */
export interface HubIdentity {
  id: string;
  epoch: string;
}

export const migrationsFolder = join(import.meta.dirname, '../../migrations');
// Any fixed number; only hostroom's migrations take this advisory lock.
const lockKey = 7_205_759_403;

/**
 * Applies every migration that is missing, each in its own transaction, or only checks; returns the hub's identity.
 * Safe when several replicas run it at once. Needs no right to create anything where nothing is missing.
 * Throws DatabaseFault where the schema is newer and breaking, or where it is not ready and `apply` is false.
 */
export async function migrate(options: MigrateOptions): Promise<HubIdentity> {
  const { sql, log, apply, waitMs = 120_000 } = options;
  const migrations = await readMigrations(options.directory ?? migrationsFolder);
  if (apply) {
    while (await applyNext(sql, migrations, log));
  }
  const deadline = performance.now() + waitMs;
  for (let waiting = false; ; waiting = true) {
    const applied = await readApplied(sql);
    refuseNewer(migrations, applied);
    const missing = missingOf(migrations, applied);
    if (missing.length === 0) {
      warnOfChanges(migrations, applied, log);
      const hub = await readHub(sql, apply);
      if (hub) return hub;
    }
    if (performance.now() > deadline) {
      throw new DatabaseFault(
        `The database lacks ${missing.map((each) => each.name).join(', ') || 'its row in table hub'} and MIGRATE is off. Run "npm run migrate" with the DATABASE_URL of a role that may create tables, then start again.`,
      );
    }
    if (!waiting) log.info({ missing: missing.map((each) => each.name) }, 'waiting for the schema');
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

/** Gives the conversation streams a new life, a step of every restore: clients then read the history anew instead of trusting their positions. */
export async function renewEpoch(sql: Sql): Promise<string> {
  const epoch = makeEpoch();
  await sql`update hub set epoch = ${epoch}`;
  return epoch;
}

/** The migrations of a folder in order. Throws on a name that is not `NNN_what.sql` and on a number used twice. */
export async function readMigrations(directory: string): Promise<Migration[]> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.sql')).sort();
  const migrations: Migration[] = [];
  for (const file of names) {
    const number = /^(\d{3})_[a-z0-9_]+\.sql$/.exec(file)?.[1];
    if (!number) throw new Error(`migrations/${file} is not named NNN_what.sql`);
    const id = Number(number);
    if (migrations.at(-1)?.id === id) throw new Error(`two migrations have the number ${number}`);
    const text = await readFile(join(directory, file), 'utf8');
    const firstLine = text.slice(0, text.indexOf('\n'));
    migrations.push({
      id,
      name: file.slice(0, -4),
      breaking: /\bbreaking\b/i.test(firstLine),
      text,
      // A checkout with other line ends is no change.
      checksum: createHash('sha256').update(text.replaceAll('\r\n', '\n')).digest('hex'),
    });
  }
  return migrations;
}

/** Applies the first missing migration; false where none is missing. */
async function applyNext(sql: Pool, migrations: Migration[], log: MigrateOptions['log']): Promise<boolean> {
  // Looked at without the lock first: at almost every start there is nothing to do, and then no right to create is needed.
  const before = await readApplied(sql);
  refuseNewer(migrations, before);
  if (missingOf(migrations, before).length === 0) return false;
  return sql.begin(async (tx) => {
    // Another replica may be busy with a long migration: wait for it however long it takes.
    await tx`select set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true)`;
    await tx`select pg_advisory_xact_lock(${lockKey})`;
    const applied = await readApplied(tx);
    refuseNewer(migrations, applied);
    const next = missingOf(migrations, applied)[0];
    if (!next) return false;
    try {
      if (applied.length === 0) await makeTable(tx);
      await tx.unsafe(next.text);
    } catch (error) {
      throw new DatabaseFault(`The migration ${next.name} failed and was rolled back: ${(error as Error).message}. ${remedyOf(error)}`, {
        cause: error,
      });
    }
    await tx`insert into migration (id, name, breaking, checksum) values (${next.id}, ${next.name}, ${next.breaking}, ${next.checksum})`;
    log.info({ migration: next.name }, 'schema migrated');
    return true;
  });
}

async function makeTable(sql: Sql): Promise<void> {
  await sql`
    create table if not exists migration (
      id integer primary key, name text not null, breaking boolean not null, checksum text not null,
      applied_at timestamptz not null default now()
    )`;
}

function remedyOf(error: unknown): string {
  return (error as { code?: unknown }).code === '42501'
    ? 'The role of DATABASE_URL may not create tables: run "npm run migrate" once as the owner of the database, and start the hub with MIGRATE=off.'
    : 'Nothing of it was kept; mend the cause and start again.';
}

async function readApplied(sql: Sql): Promise<Applied[]> {
  // Not by to_regclass: after waiting for the lock it answers from what this connection knew before.
  const [found] = await sql<[{ exists: boolean }]>`
    select exists (select from pg_tables where tablename = 'migration' and schemaname = any (current_schemas(false))) as exists`;
  if (!found.exists) return [];
  return sql<Applied[]>`select id, name, breaking, checksum from migration order by id`;
}

function missingOf(migrations: Migration[], applied: Applied[]): Migration[] {
  const ids = new Set(applied.map((each) => each.id));
  return migrations.filter((each) => !ids.has(each.id));
}

function refuseNewer(migrations: Migration[], applied: Applied[]): void {
  const newest = migrations.at(-1);
  const breaking = applied.findLast((each) => each.breaking && each.id > (newest?.id ?? 0));
  if (!breaking) return;
  throw new DatabaseFault(
    `The database was migrated by a newer hostroom: its schema needs at least ${breaking.name}, this build knows schemas up to ${newest?.name ?? 'none'}. Start that newer version, or restore the backup made before the upgrade.`,
  );
}

function warnOfChanges(migrations: Migration[], applied: Applied[], log: MigrateOptions['log']): void {
  for (const each of applied) {
    const own = migrations.find((migration) => migration.id === each.id);
    if (!own) log.info({ migration: each.name }, 'the schema is newer than this build, but fits it');
    else if (own.checksum !== each.checksum)
      log.warn({ migration: own.name }, 'this migration was changed after it had been applied; the schema may differ');
  }
}

async function readHub(sql: Pool, make: boolean): Promise<HubIdentity | undefined> {
  const [hub] = await sql<HubIdentity[]>`select id, epoch from hub`;
  if (hub || !make) return hub;
  // Of several replicas at the first start one wins, and all read its row.
  await sql`insert into hub (id, epoch) values (${newId()}, ${makeEpoch()}) on conflict do nothing`;
  const [made] = await sql<HubIdentity[]>`select id, epoch from hub`;
  return made;
}

function makeEpoch(): string {
  return randomBytes(9).toString('base64url');
}
