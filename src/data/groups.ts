/** Reads and writes groups of hosts, their members, and the rooms that belong to them. */

import type { Sql } from '../db/database.ts';
import type { Role } from '../protocol/rest.ts';
import type { HostNow } from './presence.ts';

export interface GroupRow {
  id: string;
  name: string;
  role: Role;
  hosts: number;
}

/** Someone who asks; an admin is owner of every group. */
export interface Asker {
  id: string;
  admin: boolean;
}

export interface Slice {
  limit: number;
  /** Exclusive id. */
  after: string | undefined;
}

/** The role of someone on a group: undefined where there is none, or no such group. */
export async function roleInGroup(sql: Sql, asker: Asker, group: string): Promise<Role | undefined> {
  const [row] = await sql<{ role: Role | null }[]>`
    select case when ${asker.admin} then 'owner' else membership.role end as role
    from host_group left join membership on membership.host_group = host_group.id and membership.person = ${asker.id}
    where host_group.id = ${group}`;
  return row?.role ?? undefined;
}

/** The roles that these people have on these groups. */
export async function findRoles(
  sql: Sql,
  pairs: readonly (readonly [person: string, group: string])[],
): Promise<{ person: string; group: string; role: Role }[]> {
  return sql<{ person: string; group: string; role: Role }[]>`
    select membership.person, membership.host_group as "group", membership.role
    from unnest(${pairs.map(([person]) => person)}::uuid[], ${pairs.map(([, group]) => group)}::uuid[]) as asked (person, host_group)
      join membership on membership.person = asked.person and membership.host_group = asked.host_group`;
}

/** The groups someone has a role in, by id. */
export async function listGroups(sql: Sql, asker: Asker, slice: Slice): Promise<GroupRow[]> {
  return sql<GroupRow[]>`
    select host_group.id, host_group.name, case when ${asker.admin} then 'owner' else membership.role end as role,
      (select count(*)::int from host where host.host_group = host_group.id) as hosts
    from host_group left join membership on membership.host_group = host_group.id and membership.person = ${asker.id}
    where (${asker.admin} or membership.person is not null) and (${slice.after ?? null}::uuid is null or host_group.id > ${slice.after ?? null}::uuid)
    order by host_group.id limit ${slice.limit}`;
}

/** Everyone with a role on the group, admins as owners, by id. */
export async function listMembers(sql: Sql, group: string, slice: Slice): Promise<{ id: string; name: string; role: Role }[]> {
  return sql<{ id: string; name: string; role: Role }[]>`
    select person.id, person.name, case when person.admin then 'owner' else membership.role end as role
    from person left join membership on membership.person = person.id and membership.host_group = ${group}
    where (person.admin or membership.person is not null) and (${slice.after ?? null}::uuid is null or person.id > ${slice.after ?? null}::uuid)
    order by person.id limit ${slice.limit}`;
}

/** Makes the group where there is none of that name; gives back its id. */
export async function ensureGroup(sql: Sql, id: string, name: string): Promise<string> {
  await sql`insert into host_group (id, name) values (${id}, ${name}) on conflict do nothing`;
  const [row] = await sql<[{ id: string }]>`select id from host_group where name = ${name}`;
  return row.id;
}

/** How the hosts of these groups stand as far as PostgreSQL knows; groups that are not are left out. */
export async function readGroupsNow(sql: Sql, groups: readonly string[]): Promise<Map<string, HostNow[]>> {
  const rows = await sql<(Omit<HostNow, 'id'> & { group: string; id: string | null })[]>`
    select host_group.id as "group", host.id, host.online, (extract(epoch from host.last_sample_at) * 1000)::float8 as "lastSampleAt"
    from host_group left join host on host.host_group = host_group.id
    where host_group.id = any(${groups as string[]}::uuid[])`;
  const found = new Map<string, HostNow[]>();
  for (const { group, id, ...now } of rows) {
    let hosts = found.get(group);
    if (!hosts) found.set(group, (hosts = []));
    if (id !== null) hosts.push({ id, ...now });
  }
  return found;
}

export async function anyGroup(sql: Sql): Promise<boolean> {
  const [row] = await sql<[{ found: boolean }]>`select exists (select from host_group) as found`;
  return row.found;
}

/** The group that new hosts join unless another is named: `hosts` where it exists, else the oldest. */
export async function defaultGroup(sql: Sql): Promise<string | undefined> {
  const [row] = await sql<{ id: string }[]>`select id from host_group order by name <> 'hosts', created_at, id limit 1`;
  return row?.id;
}

export async function setMembership(sql: Sql, group: string, person: string, role: Role): Promise<void> {
  await sql`
    insert into membership (host_group, person, role) values (${group}, ${person}, ${role})
    on conflict (host_group, person) do update set role = excluded.role`;
}

export interface RoomRow {
  id: string;
  name: string;
  group: { id: string; name: string };
  host: string | null;
  role: Role;
  /** Milliseconds since 1970 UTC. */
  createdAt: number;
}

const roomColumns = (sql: Sql, asker: Asker) => sql`
  room.id, room.name, json_build_object('id', host_group.id, 'name', host_group.name) as "group", room.host,
  case when ${asker.admin} then 'owner' else membership.role end as role,
  floor(extract(epoch from room.created_at) * 1000)::float8 as "createdAt"`;

/** The room as someone may see it; undefined where they may not, or there is none. */
export async function findRoomFor(sql: Sql, asker: Asker, id: string): Promise<RoomRow | undefined> {
  const [row] = await sql<RoomRow[]>`
    select ${roomColumns(sql, asker)}
    from room join host_group on host_group.id = room.host_group
      left join membership on membership.host_group = room.host_group and membership.person = ${asker.id}
    where room.id = ${id} and (${asker.admin} or membership.person is not null)`;
  return row;
}

/** Where a conversation belongs. */
export interface RoomPlace {
  group: string;
}

export async function roomsById(sql: Sql, ids: readonly string[]): Promise<Map<string, RoomPlace>> {
  const rows = await sql<{ id: string; group: string }[]>`
    select id, host_group as "group" from room where id = any(${ids as string[]}::uuid[])`;
  return new Map(rows.map(({ id, group }) => [id, { group }]));
}

/** The rooms that someone may see, by id. */
export async function listRooms(sql: Sql, asker: Asker, slice: Slice): Promise<RoomRow[]> {
  return sql<RoomRow[]>`
    select ${roomColumns(sql, asker)}
    from room join host_group on host_group.id = room.host_group
      left join membership on membership.host_group = room.host_group and membership.person = ${asker.id}
    where (${asker.admin} or membership.person is not null) and (${slice.after ?? null}::uuid is null or room.id > ${slice.after ?? null}::uuid)
    order by room.id limit ${slice.limit}`;
}
