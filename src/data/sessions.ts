/** Reads and writes sessions of signed-in browsers, and one-time sign-in links. */

import type { Sql } from '../db/database.ts';

export interface SessionRow {
  id: string;
  person: string;
  agent: string;
  address: string;
  /** Milliseconds since 1970 UTC. */
  createdAt: number;
  usedAt: number;
  expiresAt: number;
}

/** The oldest sessions of a person beyond this many are ended by a new one. */
const keptPerPerson = 50;

export interface NewSession {
  id: string;
  person: string;
  tokenHash: Buffer;
  /** User-Agent. */
  agent: string;
  address: string;
  lifetimeS: number;
}

export async function insertSession(sql: Sql, session: NewSession): Promise<void> {
  await sql`
    insert into session (id, person, token_hash, agent, address, expires_at)
    values (${session.id}, ${session.person}, ${session.tokenHash}, ${session.agent.slice(0, 300)}, ${session.address},
      now() + make_interval(secs => ${session.lifetimeS}))`;
}

/** Removes a person's expired sessions and the oldest beyond the number kept; gives back the ids of those that were alive. */
export async function trimSessions(sql: Sql, person: string): Promise<string[]> {
  const rows = await sql<{ id: string; alive: boolean }[]>`
    delete from session where person = ${person} and (expires_at <= now() or id not in (
      select id from session where person = ${person} order by used_at desc, id desc limit ${keptPerPerson}))
    returning id, expires_at > now() as alive`;
  return rows.filter((row) => row.alive).map((row) => row.id);
}

export interface Rotation {
  person: string;
  /** The presented token is the newest one. */
  current: boolean;
  /** The presented token is the one before, within the grace time. */
  inGrace: boolean;
  successor: Buffer | null;
}

/** Locks a living session for the rest of the transaction, and tells how the presented token stands to it. */
export async function lockSession(sql: Sql, id: string, tokenHash: Buffer, graceS: number): Promise<Rotation | undefined> {
  const [row] = await sql<Rotation[]>`
    select person, token_hash = ${tokenHash} as current, successor,
      coalesce(previous_hash = ${tokenHash} and rotated_at > clock_timestamp() - make_interval(secs => ${graceS}), false) as "inGrace"
    from session where id = ${id} and expires_at > now()
    for update`;
  return row;
}

export async function rotateSession(
  sql: Sql,
  id: string,
  next: { tokenHash: Buffer; successor: Buffer; address: string; lifetimeS: number },
): Promise<void> {
  await sql`
    update session set previous_hash = token_hash, token_hash = ${next.tokenHash}, successor = ${next.successor},
      rotated_at = clock_timestamp(), used_at = clock_timestamp(), address = ${next.address},
      expires_at = now() + make_interval(secs => ${next.lifetimeS})
    where id = ${id}`;
}

/** Who signed in with a session. */
export interface SessionHolder {
  person: string;
  name: string;
  admin: boolean;
}

/** Whose living sessions these are, without those that ended. */
export async function findSessions(sql: Sql, ids: readonly string[]): Promise<Map<string, SessionHolder>> {
  const rows = await sql<(SessionHolder & { id: string })[]>`
    select session.id, session.person, person.name, person.admin
    from session join person on person.id = session.person
    where session.id = any(${ids as string[]}::uuid[]) and session.expires_at > now()`;
  return new Map(rows.map(({ id, ...holder }) => [id, holder]));
}

/** Whose living session it is; undefined once it ended. */
export const findSession = async (sql: Sql, id: string): Promise<SessionHolder | undefined> => (await findSessions(sql, [id])).get(id);

/** A person's living sessions, newest first. */
export async function listSessions(sql: Sql, person: string): Promise<SessionRow[]> {
  return sql<SessionRow[]>`
    select id, person, agent, address, floor(extract(epoch from created_at) * 1000)::float8 as "createdAt",
      floor(extract(epoch from used_at) * 1000)::float8 as "usedAt", floor(extract(epoch from expires_at) * 1000)::float8 as "expiresAt"
    from session where person = ${person} and expires_at > now()
    order by used_at desc, id desc`;
}

/** Ends a session; false where this person has none of that id. */
export async function deleteSession(sql: Sql, id: string, person: string): Promise<boolean> {
  const result = await sql`delete from session where id = ${id} and person = ${person}`;
  return result.count > 0;
}

/** Ends all sessions of a person but one; gives back their ids. */
export async function deleteOtherSessions(sql: Sql, person: string, kept: string): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`delete from session where person = ${person} and id <> ${kept} returning id`;
  return rows.map((row) => row.id);
}

export async function insertSignInLink(sql: Sql, link: { tokenHash: Buffer; person: string; lifetimeS: number }): Promise<void> {
  await sql`
    insert into sign_in_link (token_hash, person, expires_at)
    values (${link.tokenHash}, ${link.person}, now() + make_interval(secs => ${link.lifetimeS}))`;
}

/** Uses a link up; the person it signs in, or undefined where it was used, has expired or never was. */
export async function takeSignInLink(sql: Sql, tokenHash: Buffer): Promise<string | undefined> {
  const [row] = await sql<{ person: string; alive: boolean }[]>`
    delete from sign_in_link where token_hash = ${tokenHash} returning person, expires_at > now() as alive`;
  return row?.alive ? row.person : undefined;
}

/** Removes a person's links: a password was set, or a newer link takes their place. */
export async function deleteSignInLinks(sql: Sql, person: string): Promise<void> {
  await sql`delete from sign_in_link where person = ${person}`;
}
