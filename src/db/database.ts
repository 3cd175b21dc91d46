/** Opens the pool of connections to PostgreSQL. */

import type { BaseLogger } from 'pino';
import type Postgres from 'postgres';
import { type DatabaseAddress, parseDatabaseUrl } from './address.ts';
import { postgres } from './driver.ts';
import { DatabaseFault, codeOf, isAway } from './fault.ts';

export { DatabaseFault, isAway } from './fault.ts';

type Types = { bigint: number };
/** Runs statements, inside a transaction or outside; what data functions take. */
export type Sql = Postgres.ISql<Types>;
/** The pool: runs statements and begins transactions. */
export type Pool = Postgres.Sql<Types>;

export interface DatabaseOptions {
  /** `postgres://user:password@host:port/database`, see address.ts. */
  url: string;
  log: Pick<BaseLogger, 'debug' | 'info' | 'warn'>;
  /** Default 10. Replicas × this should stay below 80 % of the server's max_connections. */
  maxConnections?: number;
  /** Shown in pg_stat_activity; default `hostroom`. */
  applicationName?: string;
  /**
   * The server cancels a statement after this; default 30,000. A connection without any answer 10 s later is given up.
   * 0: statements may take as long as they like, and a frozen server is waited for; for migrations.
   */
  statementTimeoutMs?: number;
  /** How long a server that does not answer yet is waited for at the start; default 10,000. */
  waitMs?: number;
  /** False behind a PgBouncer: neither prepared statements nor time-outs of its own; the role has to bring the latter. */
  prepare?: boolean;
}

/** `idle` wait for a statement, `busy` run one, `reserved` are inside a transaction, `connecting` are on their way. */
export type Connections = Record<'idle' | 'busy' | 'reserved' | 'connecting', number>;

export interface Database {
  /**
   * The pool. bigint columns are numbers (outside ±2^53: error), timestamptz are Dates, bytea Buffers, jsonb parsed.
   * While the server is away a statement fails within about a second (connection refused) or 5 s (no answer); the pool reconnects by itself.
   */
  readonly sql: Pool;
  /** `server_version_num`, such as 180004. */
  readonly version: number;
  /** How many connections of the pool are in which state now. */
  connections(): Connections;
  /** Milliseconds for one round trip; rejects after 5 s. */
  ping(): Promise<number>;
  /** Lets running statements end for up to 5 s, then closes all connections. */
  close(): Promise<void>;
}

export const oldestVersion = 15;
export const newestTestedVersion = 18;
const connectTimeoutS = 5;
const pingTimeoutMs = 5_000;
/** Of a transaction between two statements; ours take milliseconds. A replica that stands still lets go of its locks after this. */
const idleTimeoutMs = 10_000;

/**
 * Connects, checks that the server is fit (PostgreSQL ≥ 15, writable, UTF-8), returns the pool.
 * Throws DatabaseFault, whose message says what to do, at once where waiting cannot help and after `waitMs` where the server stays away.
 */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const { log, waitMs = 10_000 } = options;
  const address = parseDatabaseUrl(options.url);
  const sql = makePool(address, options);
  const deadline = performance.now() + waitMs;
  try {
    for (let attempt = 1; ; attempt++) {
      try {
        const version = await checkServer(sql, address, log);
        return { sql, version, connections: () => countConnections(sql), ping: () => ping(sql), close: () => sql.end({ timeout: 5 }) };
      } catch (error) {
        if (error instanceof DatabaseFault) throw error;
        if (!mayPass(error) || performance.now() > deadline) throw new DatabaseFault(explain(error, address), { cause: error });
        if (attempt === 1) log.warn({ database: address.shown, reason: (error as Error).message }, 'waiting for the database');
        await new Promise((resolve) => setTimeout(resolve, 250));
      }
    }
  } catch (error) {
    await sql.end({ timeout: 0 });
    throw error;
  }
}

function makePool(address: DatabaseAddress, options: DatabaseOptions): Pool {
  const { log, statementTimeoutMs = 30_000 } = options;
  const socketFolder = address.hosts[0]?.startsWith('/') ? address.hosts[0] : undefined;
  // Seconds; an addition of driver.ts. The server ends a statement before; only one that is frozen, or cut off, answers nothing for so long.
  const silence = { answer_timeout: statementTimeoutMs > 0 ? (statementTimeoutMs + 10_000) / 1000 : null };
  const target = address.targetSessionAttrs && { target_session_attrs: address.targetSessionAttrs };
  return postgres<{ bigint: Postgres.PostgresType<number> }>({
    ...target,
    ...silence,
    // Everything is named, so that the driver looks for nothing in PG… variables.
    // The driver takes lists here, its types do not say so; a text would break on IPv6.
    host: address.hosts as unknown as string,
    port: address.ports as unknown as number,
    path: socketFolder && `${socketFolder}/.s.PGSQL.${address.ports[0]}`,
    database: address.database,
    username: address.username,
    password: address.password,
    ssl: address.ssl,
    max: options.maxConnections ?? 10,
    prepare: options.prepare ?? true,
    connect_timeout: connectTimeoutS,
    // Seconds. Short, so that a statement learns soon that the server is away; the agents hold the backlog, not this pool.
    backoff: (retries: number) => Math.min(0.05 * 2 ** Math.min(retries, 10), 1) * (0.5 + Math.random() / 2),
    connection: {
      application_name: options.applicationName ?? 'hostroom',
      // A transaction pooler refuses these at the start of a connection; there they belong to the role.
      ...(options.prepare === false ? {} : { statement_timeout: statementTimeoutMs, idle_in_transaction_session_timeout: idleTimeoutMs }),
      TimeZone: 'UTC',
    },
    types: { bigint: { to: 20, from: [20], serialize: (value: number) => String(value), parse: toSafeInteger } },
    onnotice: (notice) => log.debug({ notice: notice['message'], code: notice['code'] }, 'notice of the database'),
  });
}

function toSafeInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`the bigint ${text} of the database does not fit a number`);
  return value;
}

function countConnections(sql: Pool): Connections {
  const { queues } = sql as Pool & { queues: Record<'open' | 'busy' | 'full' | 'reserved' | 'connecting', { length: number }> };
  return {
    idle: queues.open.length,
    busy: queues.busy.length + queues.full.length,
    reserved: queues.reserved.length,
    connecting: queues.connecting.length,
  };
}

async function ping(sql: Pool): Promise<number> {
  const started = performance.now();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(Object.assign(new Error(`the database did not answer in ${pingTimeoutMs} ms`), { code: 'PING_TIMEOUT' })),
      pingTimeoutMs,
    );
  });
  try {
    await Promise.race([sql`select 1`, late]);
  } finally {
    clearTimeout(timer);
  }
  return performance.now() - started;
}

async function checkServer(sql: Pool, address: DatabaseAddress, log: DatabaseOptions['log']): Promise<number> {
  const [server] = await sql<[{ version: number; standby: boolean; readOnly: string; encoding: string; maxConnections: number }]>`
    select current_setting('server_version_num')::int as version, pg_is_in_recovery() as standby,
      current_setting('default_transaction_read_only') as "readOnly", current_setting('server_encoding') as encoding,
      current_setting('max_connections')::int as "maxConnections"`;
  const major = Math.floor(server.version / 10_000);
  if (major < oldestVersion) {
    throw new DatabaseFault(
      `${address.shown} is PostgreSQL ${major}; hostroom needs ${oldestVersion} or newer. Upgrade the server or point DATABASE_URL at a newer one.`,
    );
  }
  if (server.standby || server.readOnly === 'on') {
    throw new DatabaseFault(
      `${address.shown} is ${server.standby ? 'a read-only standby' : 'set to read-only transactions'}. Point DATABASE_URL at the primary, or list all servers: postgres://user:password@first,second/database?target_session_attrs=read-write`,
    );
  }
  if (server.encoding !== 'UTF8') {
    throw new DatabaseFault(
      `The database of ${address.shown} has the encoding ${server.encoding}. Make it anew with: create database … encoding 'UTF8' template template0`,
    );
  }
  if (major > newestTestedVersion) log.warn({ version: major }, `hostroom was tested up to PostgreSQL ${newestTestedVersion}`);
  log.info(
    { database: address.shown, version: server.version, serverMaxConnections: server.maxConnections, pool: sql.options.max },
    'database opened',
  );
  return server.version;
}

/** At the start only: whether waiting may help. An unknown host name or a wrong password will not mend itself. */
function mayPass(error: unknown): boolean {
  const code = codeOf(error);
  return isAway(error) && code !== 'ENOTFOUND' && code !== 'EACCES';
}

function explain(error: unknown, address: DatabaseAddress): string {
  const code = codeOf(error);
  const { shown, username, database } = address;
  const host = address.hosts.map((name, i) => `${name}:${address.ports[i]}`).join(', ');
  const told = error instanceof Error ? error.message : String(error);
  switch (code) {
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `DATABASE_URL: the host of ${shown} is unknown (${told}). Check the host name.`;
    case 'ECONNREFUSED':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'ENOENT':
      return `DATABASE_URL: nothing answers at ${host} (${code}). Start PostgreSQL there, or correct host and port of ${shown}.`;
    case 'CONNECT_TIMEOUT':
      return `DATABASE_URL: ${host} did not answer as PostgreSQL within ${connectTimeoutS} s. Check host, port and firewall of ${shown}.`;
    case 'CONNECTION_CLOSED':
    case 'ECONNRESET':
      return `DATABASE_URL: ${host} closed the connection; perhaps that port is not PostgreSQL's, or it wants another sslmode (${shown}).`;
    case '28P01':
    case '28000':
      return `DATABASE_URL: PostgreSQL at ${host} refuses the user "${username}" (${told}). Check user and password, and pg_hba.conf of the server.`;
    case '3D000':
      return `DATABASE_URL: there is no database "${database}" at ${host}. Make it: create database "${database}" owner "${username}" encoding 'UTF8' template template0`;
    case '42501':
      return `DATABASE_URL: the user "${username}" may not use the database "${database}" (${told}). Grant it: grant connect on database "${database}" to "${username}"`;
    case '53300':
      return `DATABASE_URL: PostgreSQL at ${host} has no connection left (${told}). Raise its max_connections or stop other clients.`;
    default:
      return `DATABASE_URL: ${shown} cannot be used: ${told}${code ? ` (${code})` : ''}.`;
  }
}
