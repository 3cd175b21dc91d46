/** Closes minutes, shares out and keeps the list of host-minutes whose samples are still to go into chunks. */

import type { Sql } from '../db/database.ts';
import { literal } from './chunks.ts';
import type { HostMinute } from './chunks.ts';
import type { SampleRow } from './samples.ts';

/** Hosts fall into so many parts, each sealed by one replica at a time: by the last digit of their id, which is random. */
export const parts = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'] as const;
export type Part = (typeof parts)[number];
/** What is done for all hosts together. */
export type Share = Part | 'list';

/** Builds before there were parts take it alone, the others together: so these never seal beside those. */
const sealLock = 7_205_759_405;
const shareLocks = 720_575_940_500;
const shareLock = (share: Share): number => shareLocks + (share === 'list' ? parts.length : parts.indexOf(share));

/** Whether this transaction may do this share of the work: one at a time does, however many replicas there are. Held until it ends. */
export async function tryLock(sql: Sql, share: Share): Promise<boolean> {
  // One that stalls between two statements must not hold it for ever.
  const [row] = await sql<[{ mine: boolean }]>`
    select set_config('idle_in_transaction_session_timeout', '10s', true),
      case when pg_try_advisory_xact_lock_shared(${sealLock}) then pg_try_advisory_xact_lock(${shareLock(share)}) else false end as mine`;
  return row.mine;
}

/**
 * Ends the sessions of sealers whose transaction began more than `ageMs` ago: PostgreSQL waits without end for a replica that froze while
 * it was being sent rows.
 */
export async function endStuck(sql: Sql, ageMs: number): Promise<void> {
  await sql`
    select pg_terminate_backend(pid)
    from pg_locks join pg_stat_activity using (pid)
    where locktype = 'advisory' and granted and objsubid = 1
      and (classid::bigint << 32) + objid::bigint between ${shareLocks}::bigint and ${shareLock('list')}::bigint
      and datname = current_database() and usename = current_user and pid <> pg_backend_pid()
      and pg_locks.database = pg_stat_activity.datid and xact_start < clock_timestamp() - ${ageMs}::float8 * interval '1 ms'`;
}

/** Closes all minutes that ended at least `graceMs` ago by PostgreSQL's clock, for statements that begin after this one committed. */
export async function closeMinutes(sql: Sql, graceMs: number): Promise<void> {
  await sql`
    update seal_state set closed_until = until, closed_by = pg_current_xact_id()
    from (select date_trunc('minute', clock_timestamp() - ${graceMs}::float8 * interval '1 ms') as until) given
    where closed_until < until`;
}

export interface SealState {
  closedUntil: number;
  listedUntil: number;
}

/** Both in milliseconds since 1970 UTC. */
export async function readState(sql: Sql): Promise<SealState> {
  const [state] = await sql<[SealState]>`
    select (extract(epoch from closed_until) * 1000)::float8 as "closedUntil", (extract(epoch from listed_until) * 1000)::float8 as "listedUntil"
    from seal_state`;
  return state;
}

/** Whether a statement of the hubs is running that may not know which minutes were closed last. */
export async function isUnaware(sql: Sql): Promise<boolean> {
  const [row] = await sql<[{ unaware: boolean }]>`
    select exists (
      select from pg_stat_activity, seal_state
      where datname = current_database() and usename = current_user and application_name = current_setting('application_name')
        and pid <> pg_backend_pid() and backend_xmin is not null and age(backend_xmin) >= age(closed_by::xid)
    ) as unaware`;
  return row.unaware;
}

/** The transaction that will be next; all that are older have their number. */
export async function nextTransaction(sql: Sql): Promise<string> {
  const [row] = await sql<[{ next: string }]>`select pg_snapshot_xmax(pg_current_snapshot())::text as next`;
  return row.next;
}

/** Whether a hub's transaction older than that one has not ended yet. */
export async function isOlderRunning(sql: Sql, transaction: string): Promise<boolean> {
  const [row] = await sql<[{ running: boolean }]>`
    select exists (
      select from pg_stat_activity
      where datname = current_database() and usename = current_user and application_name = current_setting('application_name')
        and pid <> pg_backend_pid() and backend_xid is not null and age(backend_xid) > age(${transaction}::text::xid8::xid)
    ) as running`;
  return row.running;
}

/** The first moment at or after `fromMs` of which a host has something; undefined where there is none. */
export async function firstSince(sql: Sql, fromMs: number): Promise<number | undefined> {
  const [row] = await sql<{ at: number | null }[]>`
    select (extract(epoch from min(first.at)) * 1000)::float8 as at
    from host, unnest(array['sample', 'processes']) as kinds (kind), lateral (
      select at from sample_hot hot
      where hot.host = host.id and hot.kind = kinds.kind and at >= to_timestamp(${fromMs}::float8 / 1000) order by at limit 1
    ) first`;
  return row?.at ?? undefined;
}

/** Puts all hosts that have something in these minutes on the list. */
export async function listMinutes(sql: Sql, fromMs: number, toMs: number): Promise<void> {
  // A look into the index for each host and minute; without the limit the planner would go through all samples of the partition.
  await sql`
    insert into seal_work (host, minute)
    select host.id, minute
    from generate_series(to_timestamp(${fromMs}::float8 / 1000), to_timestamp(${toMs}::float8 / 1000) - interval '1 minute', interval '1 minute') minute,
      host, lateral (
        select from sample_hot hot
        where hot.host = host.id and hot.kind in ('sample', 'processes') and at >= minute and at < minute + interval '1 minute'
          -- The same in constants, which tell the planner which partitions matter.
          and at >= to_timestamp(${fromMs}::float8 / 1000) and at < to_timestamp(${toMs}::float8 / 1000)
        limit 1
      ) something`;
}

export async function setListed(sql: Sql, untilMs: number): Promise<void> {
  await sql`update seal_state set listed_until = to_timestamp(${untilMs}::float8 / 1000)`;
}

export interface SealWork extends HostMinute {
  tries: number;
}

/** So many of the oldest entries are looked at for parts, so that looking takes milliseconds however long the list is. */
const oldest = 10_000;

/** The parts that the oldest entries of the list are of. */
export async function partsToSeal(sql: Sql): Promise<Part[]> {
  const rows = await sql<{ part: Part }[]>`
    select distinct right(host::text, 1) as part from (select host from seal_work order by id limit ${oldest}) oldest`;
  return rows.map((row) => row.part);
}

/** Takes the oldest entries of a part from the list; gives the host-minutes they speak of, each once. */
export async function takeWork(sql: Sql, part: Part, most: number): Promise<SealWork[]> {
  return sql<SealWork[]>`
    with oldest as (select id from seal_work where right(host::text, 1) = ${part} order by id limit ${most}),
      taken as (delete from seal_work where id in (select id from oldest) returning host, minute, tries)
    select host, (extract(epoch from minute) * 1000)::float8 as minute, max(tries)::int as tries from taken group by host, taken.minute`;
}

/** Puts host-minutes on the list again, behind the others. */
export async function putBack(sql: Sql, given: readonly SealWork[]): Promise<void> {
  if (given.length === 0) return;
  await sql`
    insert into seal_work (host, minute, tries)
    select host, to_timestamp(minute / 1000), tries
    from unnest(
      ${literal(given.map((one) => one.host))}::text::uuid[], ${literal(given.map((one) => one.minute))}::text::float8[],
      ${literal(given.map((one) => one.tries))}::text::smallint[]
    ) as given (host, minute, tries)`;
}

/** The first of these host-minutes whose rows fit into `mostBytes` together, at least one; the others are put back. */
export async function limitWork(sql: Sql, taken: readonly SealWork[], mostBytes: number): Promise<SealWork[]> {
  const sizes = await sql<{ bytes: number }[]>`
    select coalesce(sum(octet_length(hot.frame)), 0)::float8 as bytes
    from unnest(${literal(taken.map((one) => one.host))}::text::uuid[], ${literal(taken.map((one) => one.minute))}::text::float8[])
      with ordinality as given (host, minute, place)
    left join sample_hot hot on hot.host = given.host and hot.kind in ('sample', 'processes')
      and hot.at >= to_timestamp(given.minute / 1000) and hot.at < to_timestamp(given.minute / 1000) + interval '1 minute'
    group by given.place order by given.place`;
  let bytes = 0;
  const fitting = taken.filter((_, i) => (bytes += sizes[i]!.bytes) <= mostBytes || i === 0);
  await putBack(sql, taken.slice(fitting.length));
  return fitting;
}

export async function countWork(sql: Sql): Promise<number> {
  const [row] = await sql<[{ count: number }]>`select count(*)::int as count from seal_work`;
  return row.count;
}

/** Those of these hosts that are still there; they stay until the transaction ends. */
export async function holdHosts(sql: Sql, hosts: readonly string[]): Promise<Set<string>> {
  const rows = await sql<{ id: string }[]>`select id from host where id = any(${literal(hosts)}::text::uuid[]) order by id for key share`;
  return new Set(rows.map((row) => row.id));
}

export interface HotRow extends SampleRow {
  minute: number;
}

/** Everything sample_hot has of these host-minutes, in any order. */
export async function readHot(sql: Sql, minutes: readonly HostMinute[]): Promise<HotRow[]> {
  const times = minutes.map((one) => one.minute);
  return sql<HotRow[]>`
    select hot.host, hot.kind, given.minute, (extract(epoch from hot.at) * 1000)::float8 as at, hot.boot, hot.seq::float8 as seq,
      convert_from(hot.frame, 'UTF8') as frame
    from unnest(${literal(minutes.map((one) => one.host))}::text::uuid[], ${literal(times)}::text::float8[]) as given (host, minute)
    join sample_hot hot on hot.host = given.host and hot.kind in ('sample', 'processes')
      and hot.at >= to_timestamp(given.minute / 1000) and hot.at < to_timestamp(given.minute / 1000) + interval '1 minute'
      and hot.at >= to_timestamp(${Math.min(...times)}::float8 / 1000) and hot.at < to_timestamp(${Math.max(...times)}::float8 / 1000) + interval '1 minute'`;
}

/** Removes what is in chunks now from the partition that takes what came too late for its own. */
export async function deleteLeftovers(sql: Sql, rows: readonly HotRow[]): Promise<void> {
  await sql`
    delete from sample_hot_default hot
    using unnest(
      ${literal(rows.map((row) => row.host))}::text::uuid[], ${literal(rows.map((row) => row.kind))}::text::text[],
      ${literal(rows.map((row) => row.at))}::text::float8[]
    ) as given (host, kind, at)
    where hot.host = given.host and hot.kind = given.kind and hot.at = to_timestamp(given.at / 1000)`;
}

/** Notes that the 1-hour rollups of these hosts' hours have to be made, or made anew. */
export async function noteHours(sql: Sql, hours: readonly { host: string; hour: number }[]): Promise<void> {
  await sql`
    insert into hour_work (host, hour)
    select distinct host, to_timestamp(hour / 1000)
    from unnest(${literal(hours.map((one) => one.host))}::text::uuid[], ${literal(hours.map((one) => one.hour))}::text::float8[]) as given (host, hour)
    on conflict do nothing`;
}

/** The parts of which hours that ended by `untilMs` are noted. */
export async function partsToRollUp(sql: Sql, untilMs: number): Promise<Part[]> {
  const rows = await sql<{ part: Part }[]>`
    select distinct right(host::text, 1) as part from hour_work where hour <= to_timestamp(${untilMs}::float8 / 1000) - interval '1 hour'`;
  return rows.map((row) => row.part);
}

/** Takes host-hours of a part that ended by `untilMs` from the notes. */
export async function takeHours(sql: Sql, part: Part, untilMs: number, most: number): Promise<{ host: string; hour: number }[]> {
  return sql<{ host: string; hour: number }[]>`
    with due as (
      select host, hour from hour_work
      where right(host::text, 1) = ${part} and hour <= to_timestamp(${untilMs}::float8 / 1000) - interval '1 hour' order by hour limit ${most}
    ), taken as (
      delete from hour_work using due where hour_work.host = due.host and hour_work.hour = due.hour returning hour_work.host, hour_work.hour
    )
    select host, (extract(epoch from hour) * 1000)::float8 as hour from taken`;
}

/** Forgets what was to be done for a host. */
export async function deleteWork(sql: Sql, host: string): Promise<void> {
  await sql`with hours as (delete from hour_work where host = ${host}) delete from seal_work where host = ${host}`;
}
