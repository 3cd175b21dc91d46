/** Reads and writes which hosts have an agent connected, which of its connections may publish, what it told of its machine. */

import type { Sql } from '../db/database.ts';
import type { Inventory } from '../protocol/kinds.ts';

export interface Announcement {
  host: string;
  /** UUIDv7 of this start of the agent. */
  boot: string;
  /** Counts within the boot. */
  connection: number;
  /** The id of this hub process. */
  replica: string;
}

export interface Announced {
  group: string;
  name: string;
  /** The boot announced before this one; null at the first. */
  previousBoot: string | null;
}

/**
 * Makes this the host's connection, unless a newer one of the same boot was announced: of one boot the higher `connection` wins,
 * of two boots the later announced (contract, section 5). Undefined: it lost, or there is no such host.
 */
export async function announceAgent(sql: Sql, { host, boot, connection, replica }: Announcement): Promise<Announced | undefined> {
  const [row] = await sql<Announced[]>`
    with previous as (select boot from host where id = ${host} for update)
    update host set boot = ${boot}, connection = ${connection}, announced_at = now(), replica = ${replica}, seen_at = now()
    from previous
    where host.id = ${host} and (host.boot is distinct from ${boot}::uuid or host.connection <= ${connection})
    returning host.host_group as "group", host.name, previous.boot as "previousBoot"`;
  return row;
}

/** Those of the hosts that were not online and are from now on. */
export async function markOnline(sql: Sql, hosts: readonly string[]): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    update host set online = true, online_since = now(), seen_at = now()
    where id = any(${hosts as string[]}::uuid[]) and not online returning id`;
  return rows.map((row) => row.id);
}

/** True if the host counted as online and no replica has seen a connection of it for `silentMs`; then it is offline from now on. */
export async function markOffline(sql: Sql, host: string, silentMs: number): Promise<boolean> {
  const result = await sql`
    update host set online = false, online_since = null
    where id = ${host} and online and seen_at <= now() - ${silentMs}::float8 * interval '1 ms'`;
  return result.count > 0;
}

/** Hosts left online by a replica that died: they are offline from now on. */
export async function sweepOffline(sql: Sql, silentMs: number): Promise<{ id: string; group: string }[]> {
  return sql<{ id: string; group: string }[]>`
    update host set online = false, online_since = null
    where online and (seen_at is null or seen_at <= now() - ${silentMs}::float8 * interval '1 ms') returning id, host_group as "group"`;
}

/** Says that these hosts are connected now, with the times (ms) of their newest samples, 0 where there is none yet. Returns those that exist, with their names. */
export async function refreshSeen(
  sql: Sql,
  hosts: readonly string[],
  sampleAts: readonly number[],
): Promise<{ id: string; name: string }[]> {
  return sql<{ id: string; name: string }[]>`
    update host set seen_at = now(),
      last_sample_at = greatest(last_sample_at, case when given.at > 0 then to_timestamp(given.at / 1000) end)
    from unnest(${hosts as string[]}::uuid[], ${sampleAts as number[]}::float8[]) as given (id, at)
    where host.id = given.id returning host.id, host.name`;
}

/** Keeps what an agent told of its machine. Returns when it had booted by what was known before; undefined without that. */
export async function saveInventory(sql: Sql, host: string, inventory: Inventory): Promise<number | undefined> {
  const [row] = await sql<{ bootedAt: number | null }[]>`
    with previous as (select inventory from host where id = ${host} for update)
    update host set inventory = ${JSON.stringify(inventory)}::text::jsonb from previous where host.id = ${host}
    returning (previous.inventory ->> 'bootedAt')::float8 as "bootedAt"`;
  return row?.bootedAt ?? undefined;
}

export interface HostNow {
  id: string;
  online: boolean;
  /** Milliseconds since 1970 UTC. */
  lastSampleAt: number | null;
}

/** How the hosts of a group stand as far as PostgreSQL knows. */
export async function readGroupNow(sql: Sql, group: string): Promise<HostNow[]> {
  return sql<HostNow[]>`
    select id, online, (extract(epoch from last_sample_at) * 1000)::float8 as "lastSampleAt" from host where host_group = ${group}`;
}
