/** Reads and writes the tokens by which agents enrol. */

import type { Sql } from '../db/database.ts';

export interface NewEnrolment {
  tokenHash: Buffer;
  group: string;
  /** Null: each use makes a host. */
  host: string | null;
  uses: number;
  lifetimeS: number;
  /** The person who made it; null for the hub itself. */
  createdBy: string | null;
}

/** Returns when it expires, in ms since 1970 UTC. */
export async function insertEnrolment(sql: Sql, enrolment: NewEnrolment): Promise<number> {
  const [row] = await sql<[{ expiresAt: number }]>`
    insert into enrolment (token_hash, host_group, host, uses_left, expires_at, created_by)
    values (${enrolment.tokenHash}, ${enrolment.group}, ${enrolment.host}, ${enrolment.uses},
      now() + make_interval(secs => ${enrolment.lifetimeS}), ${enrolment.createdBy})
    returning floor(extract(epoch from expires_at) * 1000)::float8 as "expiresAt"`;
  return row.expiresAt;
}

/** A newer token for the same host takes the place of unused ones; used ones stay, so that a retry still finds its host. */
export async function deleteUnusedEnrolments(sql: Sql, host: string): Promise<void> {
  await sql`
    delete from enrolment where host = ${host}
      and not exists (select from enrolment_use where enrolment_use.token_hash = enrolment.token_hash)`;
}

/** Forgets what expired over a day ago, by when nobody retries any more. */
export async function deleteOldEnrolments(sql: Sql): Promise<void> {
  await sql`delete from enrolment where expires_at < now() - interval '1 day'`;
}

export interface EnrolmentRow {
  group: string;
  host: string | null;
  /** Unexpired, with a use left. */
  usable: boolean;
}

/** Locks the token for the rest of the transaction. */
export async function lockEnrolment(sql: Sql, tokenHash: Buffer): Promise<EnrolmentRow | undefined> {
  const [row] = await sql<EnrolmentRow[]>`
    select host_group as "group", host, uses_left > 0 and expires_at > now() as usable
    from enrolment where token_hash = ${tokenHash} for update`;
  return row;
}

/** The host that this key enrolled with this token, if it did. */
export async function findEnrolmentUse(sql: Sql, tokenHash: Buffer, thumbprint: string): Promise<string | undefined> {
  const [row] = await sql<{ host: string }[]>`
    select host from enrolment_use where token_hash = ${tokenHash} and key_thumbprint = ${thumbprint}`;
  return row?.host;
}

export async function insertEnrolmentUse(sql: Sql, use: { tokenHash: Buffer; thumbprint: string; host: string }): Promise<void> {
  await sql`
    with used as (update enrolment set uses_left = uses_left - 1 where token_hash = ${use.tokenHash})
    insert into enrolment_use (token_hash, key_thumbprint, host) values (${use.tokenHash}, ${use.thumbprint}, ${use.host})`;
}

export interface GroupEnrolmentRow {
  tokenHash: Buffer;
  usesLeft: number;
  expiresAt: number;
  createdBy: string | null;
}

/** Those of the group that make hosts and still work, the one that expires last first. */
export async function listGroupEnrolments(sql: Sql, group: string, limit: number): Promise<GroupEnrolmentRow[]> {
  return sql<GroupEnrolmentRow[]>`
    select token_hash as "tokenHash", uses_left as "usesLeft", created_by as "createdBy",
      floor(extract(epoch from expires_at) * 1000)::float8 as "expiresAt"
    from enrolment where host_group = ${group} and host is null and uses_left > 0 and expires_at > now()
    order by expires_at desc limit ${limit}`;
}

/** Ends a token of the group; its uses stay, so that agents that enrolled with it may still repeat that. False where there is none. */
export async function endGroupEnrolment(sql: Sql, group: string, tokenHash: Buffer): Promise<boolean> {
  const { count } = await sql`
    update enrolment set uses_left = 0
    where token_hash = ${tokenHash} and host_group = ${group} and host is null and uses_left > 0`;
  return count > 0;
}
