/**
 * Reads and writes which hosts have an agent connected, which of its connections may publish, what it told of its machine. Replicas
 * change rows of the same hosts at once: whatever waits for several rows locks them by id, so that nobody waits in a circle.
 */

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
}

export interface Announced {
  group: string;
  name: string;
  /** Its place among all connections announced for the host, over all replicas: the highest may publish. */
  order: number;
}

/**
 * Makes each the connection of its host, unless a newer one of the same boot was announced: of one boot the higher `connection` wins,
 * of two boots the later announced (contract, section 5). Undefined: it lost, or the host is gone or has another key by now.
 * @param announcements at most one of each host
 * @param replica the id of this hub process
 */
export async function announceAgents(
  sql: Sql,
  announcements: readonly Announcement[],
  replica: string,
): Promise<(Announced | undefined)[]> {
  const hosts = announcements.map(({ host }) => host);
  const keys = announcements.map(({ publicKey }) => JSON.stringify(publicKey));
  const boots = announcements.map(({ boot }) => boot);
  const connections = announcements.map(({ connection }) => connection);
  const rows = await sql<(Announced & { id: string })[]>`
    with given as (
      select * from unnest(${hosts}::uuid[], ${keys}::text[], ${boots}::uuid[], ${connections}::float8[])
        as given (id, public_key, boot, connection)),
    locked as (select id from host where id = any(${hosts}::uuid[]) order by id for no key update)
    update host set boot = given.boot, connection = given.connection, announcements = announcements + 1, announced_at = now(),
      replica = ${replica}, seen_at = now()
    from locked join given using (id)
    where host.id = locked.id and host.public_key = given.public_key::jsonb
      and (host.boot is distinct from given.boot or host.connection <= given.connection)
    returning host.id, host.host_group as "group", host.name, host.announcements::float8 as "order"`;
  const byHost = new Map(rows.map(({ id, ...announced }) => [id, announced]));
  return hosts.map((host) => byHost.get(host));
}

/** Those of the hosts that were not online and are from now on. */
export async function markOnline(sql: Sql, hosts: readonly string[]): Promise<Set<string>> {
  const rows = await sql<{ id: string }[]>`
    with locked as (select id from host where id = any(${hosts as string[]}::uuid[]) and not online order by id for no key update)
    update host set online = true, online_since = now(), seen_at = now() from locked where host.id = locked.id returning host.id`;
  return new Set(rows.map(({ id }) => id));
}

/** Those of the hosts that counted as online and of which no replica has seen a connection for `silentMs`; they are offline from now on. */
export async function markOffline(sql: Sql, hosts: readonly string[], silentMs: number): Promise<Set<string>> {
  const rows = await sql<{ id: string }[]>`
    with locked as (
      select id from host
      where id = any(${hosts as string[]}::uuid[]) and online and seen_at <= now() - ${silentMs}::float8 * interval '1 ms'
      order by id for no key update)
    update host set online = false, online_since = null from locked where host.id = locked.id returning host.id`;
  return new Set(rows.map(({ id }) => id));
}

/** Hosts left online by a replica that died: they are offline from now on. */
export async function sweepOffline(sql: Sql, silentMs: number): Promise<{ id: string; group: string }[]> {
  return sql<{ id: string; group: string }[]>`
    with silent as (
      select id from host where online and (seen_at is null or seen_at <= now() - ${silentMs}::float8 * interval '1 ms')
      order by id for no key update)
    update host set online = false, online_since = null from silent where host.id = silent.id
    returning host.id, host.host_group as "group"`;
}

/** One connection that a replica holds. */
export interface Held {
  host: string;
  order: number;
  /** Hub time in ms of its newest sample, 0 where there is none yet. */
  sampleAt: number;
}

/** How a host stands in PostgreSQL: its name and group, the newest connection announced for it, whether it counts as online. */
export interface Standing {
  id: string;
  name: string;
  group: string;
  boot: string;
  order: number;
  online: boolean;
}

/**
 * Says that these are connected now, where they still are the newest; returns how each host stands that exists. A row that somebody
 * else is changing, as by an announcement, is left to them.
 */
export async function refreshSeen(sql: Sql, held: readonly Held[]): Promise<Standing[]> {
  const hosts = held.map(({ host }) => host);
  const orders = held.map(({ order }) => order);
  const sampleAts = held.map(({ sampleAt }) => sampleAt);
  return sql<Standing[]>`
    with given as (select * from unnest(${hosts}::uuid[], ${orders}::float8[], ${sampleAts}::float8[]) as given (id, announced, at)),
    free as (select id from host where id = any(${hosts}::uuid[]) for no key update skip locked),
    seen as (
      update host set seen_at = now(),
        last_sample_at = greatest(last_sample_at, case when given.at > 0 then to_timestamp(given.at / 1000) end)
      from free join given using (id) where host.id = free.id and host.announcements = given.announced)
    select host.id, host.name, host.host_group as "group", host.boot, host.online, host.announcements::float8 as "order"
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

export interface Told {
  host: string;
  inventory: Inventory;
}

/** What became of an inventory. */
export interface InventoryKept {
  /** It is another one than before. */
  isOther: boolean;
  /** When the machine had booted by what was known before; null without that. */
  bootedAt: number | null;
}

/** Keeps what agents told of their machines. Undefined for a host that is gone. @param told at most one of each host */
export async function saveInventories(sql: Sql, told: readonly Told[]): Promise<(InventoryKept | undefined)[]> {
  const hosts = told.map(({ host }) => host);
  const texts = told.map(({ inventory }) => JSON.stringify(inventory));
  const rows = await sql<(InventoryKept & { id: string })[]>`
    with given as (select id, text::jsonb as inventory from unnest(${hosts}::uuid[], ${texts}::text[]) as given (id, text)),
    before as (select id, inventory from host where id = any(${hosts}::uuid[]) order by id for no key update),
    kept as (
      update host set inventory = given.inventory from before join given using (id)
      where host.id = before.id and before.inventory is distinct from given.inventory returning host.id)
    select before.id, (before.inventory ->> 'bootedAt')::float8 as "bootedAt", kept.id is not null as "isOther"
    from before left join kept using (id)`;
  const byHost = new Map(rows.map(({ id, ...kept }) => [id, kept]));
  return hosts.map((host) => byHost.get(host));
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
