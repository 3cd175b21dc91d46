/** Looks at everything a hub stands on before it is rolled out, and changes nothing. */

import { drainBudget } from './cluster/pace.ts';
import { warnings, type Config } from './config.ts';
import { DatabaseFault, openDatabase, type Pool } from './db/database.ts';
import { runningEmbedded } from './db/embedded.ts';
import { migrate } from './db/migrate.ts';
import { closeClient, openClient } from './relay/redisClient.ts';
import { explainFault } from './relay/redisFault.ts';

export interface Finding {
  level: 'ok' | 'warn' | 'fail';
  /** What was looked at: `database`, `redis`, … */
  what: string;
  /** What was found; where it is not well, also what to do. */
  text: string;
}

/** Connections that each replica may open; one more while it starts. */
const poolSize = 10;
/** Part of the server's connections that all replicas together should leave free. */
const freePart = 0.2;
const slowMs = 20;
const clockToleranceMs = 5_000;
const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined };

const ok = (what: string, text: string): Finding => ({ level: 'ok', what, text });
const warn = (what: string, text: string): Finding => ({ level: 'warn', what, text });
const fail = (what: string, text: string): Finding => ({ level: 'fail', what, text });

/** One finding or more about each part. What does not answer is waited for, for about `waitMs`. */
export async function preflight(config: Config, waitMs = 5_000): Promise<Finding[]> {
  const notes = warnings(config).map((text) => warn('configuration', text));
  return [
    ...(notes.length > 0 ? notes : [ok('configuration', 'is valid')]),
    ...(await Promise.all([lookAtDatabase(config, waitMs), lookAtRedis(config, waitMs)])).flat(),
    lookAtGrace(config),
  ];
}

async function lookAtDatabase(config: Config, waitMs: number): Promise<Finding[]> {
  const url = config.databaseUrl ?? runningEmbedded(config.dataDir);
  if (url === undefined) return [ok('database', `is the embedded one; the hub's start makes or opens it in ${config.dataDir}`)];
  try {
    const database = await openDatabase({
      url,
      log: quiet,
      maxConnections: 1,
      waitMs,
      prepare: config.databaseDirectUrl === undefined,
    });
    try {
      const reached = ok('database', `PostgreSQL ${Math.floor(database.version / 10_000)}, writable, UTF-8`);
      return [
        reached,
        ...(await lookAtSettings(database.sql)),
        ...(await lookAtClock(database.sql)),
        await lookAtSchema(config, database.sql),
      ];
    } finally {
      await database.close();
    }
  } catch (error) {
    if (error instanceof DatabaseFault) return [fail('database', error.message)];
    throw error;
  }
}

async function lookAtSettings(sql: Pool): Promise<Finding[]> {
  const [is] = await sql<[Record<'fsync' | 'pages' | 'commit' | 'checksums' | 'superuser', string> & { free: number; size: string }]>`
    select current_setting('fsync') as fsync, current_setting('full_page_writes') as pages,
      current_setting('synchronous_commit') as commit, current_setting('data_checksums') as checksums,
      current_setting('is_superuser') as superuser, pg_size_pretty(pg_database_size(current_database())) as size,
      current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as free`;
  const kept: Finding[] = [];
  if (is.fsync !== 'on') kept.push(fail('durability', 'fsync is off: an acknowledged sample would be lost with the power; set fsync = on'));
  if (is.pages !== 'on') kept.push(fail('durability', 'full_page_writes is off: a torn page would stay torn; set full_page_writes = on'));
  if (is.commit === 'off')
    kept.push(
      fail('durability', "synchronous_commit is off: acknowledgements come before the disk; alter role … set synchronous_commit = 'on'"),
    );
  if (kept.length === 0) kept.push(ok('durability', 'fsync, full_page_writes and synchronous_commit are on'));
  if (is.checksums !== 'on')
    kept.push(warn('durability', 'data checksums are off: a disk that lies is not noticed; pg_checksums --enable'));
  if (is.superuser === 'on')
    kept.push(warn('rights', 'the role of DATABASE_URL is a superuser; give the hub a role that only works with rows'));
  const replicas = Math.floor((is.free * (1 - freePart)) / poolSize);
  const pool = `${is.free} connections are for everyone, each replica opens up to ${poolSize}: enough for ${replicas} replicas`;
  if (replicas < 1) kept.push(fail('connections', `${pool}; raise max_connections`));
  else kept.push(replicas < 3 ? warn('connections', `${pool}; raise max_connections`) : ok('connections', pool));
  kept.push(ok('size', `the database has ${is.size}`));
  return kept;
}

async function lookAtClock(sql: Pool): Promise<Finding[]> {
  const startedMs = performance.now();
  const [row] = await sql<[{ ms: number }]>`select (extract(epoch from clock_timestamp()) * 1000)::float8 as ms`;
  const tripMs = performance.now() - startedMs;
  const aheadMs = Math.round(row.ms + tripMs / 2 - Date.now());
  const trip = `a statement takes ${tripMs.toFixed(1)} ms`;
  return [
    tripMs > slowMs ? warn('distance', `${trip}; put hubs and PostgreSQL next to each other`) : ok('distance', trip),
    Math.abs(aheadMs) > clockToleranceMs
      ? warn(
          'clock',
          `PostgreSQL's clock is ${aheadMs} ms ahead of this machine's. Hub time follows PostgreSQL; certificates and logs follow this machine: set both by NTP`,
        )
      : ok('clock', `PostgreSQL's clock is ${aheadMs} ms ahead of this machine's`),
  ];
}

async function lookAtSchema(config: Config, sql: Pool): Promise<Finding> {
  try {
    const { id } = await migrate({ sql, log: quiet, apply: false, waitMs: 0 });
    return ok('schema', `is up to date; the hub's id is ${id}`);
  } catch (error) {
    if (!(error instanceof DatabaseFault)) throw error;
    const isOld = /MIGRATE is off/.test(error.message);
    if (isOld && config.migrate) return ok('schema', 'will be brought up to date by the first hub that starts (MIGRATE=on)');
    return isOld ? warn('schema', 'is not up to date; with MIGRATE=off "npm run migrate" has to run first') : fail('schema', error.message);
  }
}

async function lookAtRedis(config: Config, waitMs: number): Promise<Finding[]> {
  if (!config.redis) return [ok('redis', 'is not set: this hub is the only replica')];
  const client = openClient(config.redis, 'commands');
  let reason = `no answer within ${waitMs} ms`;
  client.on('error', (error: Error) => (reason = explainFault(error).text));
  try {
    const deadline = performance.now() + waitMs;
    while (client.status !== 'ready' && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 50));
    if (client.status !== 'ready')
      return [fail('redis', reason.startsWith('REDIS_URL') ? reason : `REDIS_URL: ${reason}. Check address, password and firewall`)];
    const startedMs = performance.now();
    await client.ping();
    const tripMs = performance.now() - startedMs;
    const version = /redis_version:(\S+)/.exec(await client.info('server'))?.[1] ?? 'of an unknown version';
    const found = [ok('redis', `Redis ${version}, ${config.redis.kind}, a command takes ${tripMs.toFixed(1)} ms`)];
    if (config.redis.password === undefined)
      found.push(warn('redis', 'asks for no password: whoever reaches it may write into every room; set requirepass or users by ACL'));
    return found;
  } catch (error) {
    return [fail('redis', `REDIS_URL: ${(error as Error).message}`)];
  } finally {
    await closeClient(client);
  }
}

function lookAtGrace(config: Config): Finding {
  const { settleMs, windowMs, flushMs, isShort } = drainBudget(config.shutdownGraceMs);
  const parts = `${seconds(settleMs)} until balancers know, ${seconds(windowMs)} to move clients, ${seconds(flushMs)} to commit`;
  const outside = `who stops the process must leave it more than ${seconds(config.shutdownGraceMs)} (terminationGracePeriodSeconds, stop_grace_period)`;
  if (isShort && config.redis)
    return warn('stop', `SHUTDOWN_GRACE of ${seconds(config.shutdownGraceMs)} is short for several replicas (${parts}); 115s is usual`);
  return ok('stop', `${parts}; ${outside}`);
}

const seconds = (ms: number): string => `${Math.round(ms / 100) / 10} s`;
