/** Reads and writes which hosts have an agent connected, which of its connections may publish, what it told of its machine. */

import type { Sql } from '../db/database.ts';
import type { Inventory } from '../protocol/kinds.ts';
import type { PublicKey } from '../protocol/rest.ts';

export interface Announcement {
  host: string;
  /** The key that the agent proved to have. */
  publicKey: PublicKey | null;
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
  /** Its place among all connections announced for the host, over all replicas: the highest may publish. */
  order: number;
}

/**
 * Makes this the host's connection, unless a newer one of the same boot was announced: of one boot the higher `connection` wins,
 * of two boots the later announced (contract, section 5). Undefined: it lost, or the host is gone or has another key by now.
 */
export async function announceAgent(
  sql: Sql,
  { host, publicKey, boot, connection, replica }: Announcement,
): Promise<Announced | undefined> {
  const [row] = await sql<Announced[]>`
    update host set boot = ${boot}, connection = ${connection}, announcements = announcements + 1, announced_at = now(),
      replica = ${replica}, seen_at = now()
    where id = ${host} and public_key = ${JSON.stringify(publicKey)}::text::jsonb and (boot is distinct from ${boot}::uuid or connection <= ${connection})
    returning host_group as "group", name, announcements::float8 as "order"`;
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

/** One connection that a replica holds. */
export interface Held {
  host: string;
  order: number;
  /** Hub time in ms of its newest sample, 0 where there is none yet. */
  sampleAt: number;
}

/** How a host stands in PostgreSQL: its name and group, the newest connection announced for it. */
export interface Standing {
  id: string;
  name: string;
  group: string;
  boot: string;
  order: number;
}

/** Says that these are connected now, where they still are the newest; returns how each host stands that exists. */
export async function refreshSeen(sql: Sql, held: readonly Held[]): Promise<Standing[]> {
  const hosts = held.map(({ host }) => host);
  const orders = held.map(({ order }) => order);
  const sampleAts = held.map(({ sampleAt }) => sampleAt);
  return sql<Standing[]>`
    with given as (select * from unnest(${hosts}::uuid[], ${orders}::float8[], ${sampleAts}::float8[]) as given (id, announced, at)),
    seen as (
      update host set seen_at = now(),
        last_sample_at = greatest(last_sample_at, case when given.at > 0 then to_timestamp(given.at / 1000) end)
      from given where host.id = given.id and host.announcements = given.announced)
    select host.id, host.name, host.host_group as "group", host.boot, host.announcements::float8 as "order"
    from given join host on host.id = given.id`;
}

/**
 * Counts that a living connection of the host was pushed out by one of another boot. Returns how many such changes there were
 * within `withinMs`; the one that reaches `limit` begins anew.
 */
export async function countIdentityChange(
  sql: Sql,
  host: string,
  { withinMs, limit }: { withinMs: number; limit: number },
): Promise<number> {
  const [row] = await sql<{ changes: number }[]>`
    with recent as (
      select id, array(select at from unnest(identity_changes) as at where at > now() - ${withinMs}::float8 * interval '1 ms') || now() as changes
      from host where id = ${host} for update)
    update host set identity_changes = case when cardinality(changes) >= ${limit}::int then '{}' else changes end
    from recent where host.id = recent.id
    returning cardinality(changes) as changes`;
  return row?.changes ?? 0;
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

/** How these hosts stand as far as PostgreSQL knows, with their groups; those that are no more are missing. @param online also all that are online */
export async function readHostsNow(sql: Sql, hosts: readonly string[], online: boolean): Promise<(HostNow & { group: string })[]> {
  return sql<(HostNow & { group: string })[]>`
    select id, host_group as "group", online, (extract(epoch from last_sample_at) * 1000)::float8 as "lastSampleAt"
    from host where id = any(${hosts as string[]}::uuid[]) or (${online} and online)`;
}
