/** Reads and writes hosts, without their connections' state. */

import type { Sql } from '../db/database.ts';
import type { Inventory } from '../protocol/kinds.ts';
import type { PublicKey, Role } from '../protocol/rest.ts';
import type { Asker, Slice } from './groups.ts';

export type Platform = Record<string, string | number | boolean | null>;

/** A host as someone may see it; times in ms since 1970 UTC. */
export interface HostRow {
  id: string;
  name: string;
  group: { id: string; name: string };
  online: boolean;
  onlineSince: number | null;
  lastSampleAt: number | null;
  createdAt: number;
  platform: Platform | null;
  inventory: Inventory | null;
  role: Role;
}

const hostColumns = (sql: Sql, asker: Asker) => sql`
  host.id, host.name, json_build_object('id', host_group.id, 'name', host_group.name) as "group", host.online,
  floor(extract(epoch from host.online_since) * 1000)::float8 as "onlineSince",
  floor(extract(epoch from host.last_sample_at) * 1000)::float8 as "lastSampleAt",
  floor(extract(epoch from host.created_at) * 1000)::float8 as "createdAt",
  host.platform, host.inventory, case when ${asker.admin} then 'owner' else membership.role end as role`;

/** The host as someone may see it; undefined where they may not, or there is none. */
export async function findHostFor(sql: Sql, asker: Asker, id: string): Promise<HostRow | undefined> {
  const [row] = await sql<HostRow[]>`
    select ${hostColumns(sql, asker)}
    from host join host_group on host_group.id = host.host_group
      left join membership on membership.host_group = host.host_group and membership.person = ${asker.id}
    where host.id = ${id} and (${asker.admin} or membership.person is not null)`;
  return row;
}

/** The hosts that someone may see, by id, which is their order of making. */
export async function listHostsFor(sql: Sql, asker: Asker, slice: Slice): Promise<HostRow[]> {
  return sql<HostRow[]>`
    select ${hostColumns(sql, asker)}
    from host join host_group on host_group.id = host.host_group
      left join membership on membership.host_group = host.host_group and membership.person = ${asker.id}
    where (${asker.admin} or membership.person is not null) and (${slice.after ?? null}::uuid is null or host.id > ${slice.after ?? null}::uuid)
    order by host.id limit ${slice.limit}`;
}

export interface HostKey {
  id: string;
  name: string;
  group: string;
  /** Null until its agent enrolled. */
  publicKey: PublicKey | null;
}

/** What connect tokens of agents are checked against. */
export async function findHostKeys(sql: Sql, ids: readonly string[]): Promise<Map<string, HostKey>> {
  const rows = await sql<HostKey[]>`
    select id, name, host_group as "group", public_key as "publicKey" from host where id = any(${ids as string[]}::uuid[])`;
  return new Map(rows.map((row) => [row.id, row]));
}

export const findHostKey = async (sql: Sql, id: string): Promise<HostKey | undefined> => (await findHostKeys(sql, [id])).get(id);

/** What a host's room shows of it besides samples, for whoever may enter. */
export interface HostPlace extends Pick<HostRow, 'name' | 'online' | 'onlineSince' | 'lastSampleAt' | 'inventory'> {
  group: string;
}

export async function hostsById(sql: Sql, ids: readonly string[]): Promise<Map<string, HostPlace>> {
  const rows = await sql<(HostPlace & { id: string })[]>`
    select id, name, host_group as "group", online, inventory,
      floor(extract(epoch from online_since) * 1000)::float8 as "onlineSince",
      floor(extract(epoch from last_sample_at) * 1000)::float8 as "lastSampleAt"
    from host where id = any(${ids as string[]}::uuid[])`;
  return new Map(rows.map(({ id, ...place }) => [id, place]));
}

/** Locks the host for the rest of the transaction. */
export async function lockHostKey(sql: Sql, id: string): Promise<HostKey | undefined> {
  const [row] = await sql<HostKey[]>`
    select id, name, host_group as "group", public_key as "publicKey" from host where id = ${id} for update`;
  return row;
}

export async function insertHost(sql: Sql, host: { id: string; name: string; group: string }): Promise<void> {
  await sql`insert into host (id, host_group, name) values (${host.id}, ${host.group}, ${host.name})`;
}

/** The host's own conversation, with the host's id. */
export async function insertHostRoom(sql: Sql, host: { id: string; name: string; group: string }): Promise<void> {
  await sql`insert into room (id, host_group, host, name) values (${host.id}, ${host.group}, ${host.id}, ${host.name})`;
}

/** Gives the host's agent its key. Returns the place among its connections before which they have another one: those are the newest no more. */
export async function setHostKey(sql: Sql, id: string, publicKey: PublicKey, platform: Platform | null): Promise<number> {
  const [row] = await sql<{ order: number }[]>`
    update host set public_key = ${JSON.stringify(publicKey)}::text::jsonb, announcements = announcements + 1,
      platform = coalesce(${platform === null ? null : JSON.stringify(platform)}::text::jsonb, platform)
    where id = ${id} returning announcements::float8 as "order"`;
  return row?.order ?? 0;
}

/** Renames the host and its conversation together. */
export async function renameHostRow(sql: Sql, id: string, name: string): Promise<void> {
  await sql`with renamed as (update host set name = ${name} where id = ${id}) update room set name = ${name} where host = ${id}`;
}

/** Removes the host, its conversation and its enrolments; its samples are kept elsewhere. False where there was none. */
export async function deleteHostRow(sql: Sql, id: string): Promise<boolean> {
  const result = await sql`delete from host where id = ${id}`;
  return result.count > 0;
}
