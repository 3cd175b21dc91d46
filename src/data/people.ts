/** Reads and writes people's accounts. */

import type { Sql } from '../db/database.ts';
import type { Role } from '../protocol/rest.ts';

export interface Person {
  id: string;
  name: string;
  email: string;
  admin: boolean;
  /** PHC string; null until one was set. */
  passwordHash: string | null;
}

const columns = (sql: Sql) => sql`person.id, person.name, person.email, person.admin, person.password_hash as "passwordHash"`;

export async function findPerson(sql: Sql, id: string): Promise<Person | undefined> {
  const [person] = await sql<Person[]>`select ${columns(sql)} from person where id = ${id}`;
  return person;
}

/** By e-mail, upper and lower case alike. */
export async function findPersonByEmail(sql: Sql, email: string): Promise<Person | undefined> {
  const [person] = await sql<Person[]>`select ${columns(sql)} from person where lower(email) = lower(${email})`;
  return person;
}

/** The admin who was there first. */
export async function findFirstAdmin(sql: Sql): Promise<Person | undefined> {
  const [person] = await sql<Person[]>`select ${columns(sql)} from person where admin order by created_at, id limit 1`;
  return person;
}

export async function anyPerson(sql: Sql): Promise<boolean> {
  const [row] = await sql<[{ found: boolean }]>`select exists (select from person) as found`;
  return row.found;
}

export async function anyAdminHasPassword(sql: Sql): Promise<boolean> {
  const [row] = await sql<[{ found: boolean }]>`
    select exists (select from person where admin and password_hash is not null) as found`;
  return row.found;
}

/** False where the e-mail is taken. */
export async function insertPerson(sql: Sql, person: Person): Promise<boolean> {
  const result = await sql`
    insert into person (id, email, name, password_hash, admin)
    values (${person.id}, ${person.email}, ${person.name}, ${person.passwordHash}, ${person.admin})
    on conflict do nothing`;
  return result.count > 0;
}

export async function updatePerson(sql: Sql, id: string, changes: { name?: string; email?: string }): Promise<void> {
  await sql`
    update person set name = coalesce(${changes.name ?? null}, name), email = coalesce(${changes.email ?? null}, email) where id = ${id}`;
}

export async function setPasswordHash(sql: Sql, id: string, hash: string): Promise<void> {
  await sql`update person set password_hash = ${hash} where id = ${id}`;
}

export interface PersonGroup {
  id: string;
  name: string;
  role: Role;
}

/** The groups someone has a role in, by name; an admin is owner of all. */
export async function groupsOf(sql: Sql, person: { id: string; admin: boolean }): Promise<PersonGroup[]> {
  return sql<PersonGroup[]>`
    select host_group.id, host_group.name, case when ${person.admin} then 'owner' else membership.role end as role
    from host_group left join membership on membership.host_group = host_group.id and membership.person = ${person.id}
    where ${person.admin} or membership.person is not null
    order by host_group.name`;
}
