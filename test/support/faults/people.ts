/** People with sessions, made in the database at once, with access tokens as the hub would give them. */

import { randomBytes } from 'node:crypto';
import { createAccessTokens } from '../../../src/auth/accessToken.ts';
import { deriveKeys } from '../../../src/auth/secretKey.ts';
import type { Pool } from '../../../src/db/database.ts';
import { newId } from '../../../src/lib/id.ts';

export interface Visitor {
  person: string;
  /** Good for 10 minutes. */
  accessToken: string;
}

/** Each signed in once; `group` undefined: the oldest. `secretKey` is the hub's SECRET_KEY. */
export async function makeVisitors(sql: Pool, count: number, secretKey: string): Promise<Visitor[]> {
  const [hub] = await sql<[{ id: string; time: number }]>`select id, floor(extract(epoch from now()) * 1000)::float8 as time from hub`;
  const aheadMs = hub.time - Date.now();
  const clock = { now: () => Date.now() + aheadMs };
  const tokens = createAccessTokens({ keys: deriveKeys(new Uint8Array(Buffer.from(secretKey, 'base64'))), hub: hub.id, clock });
  const visitors = Array.from({ length: count }, (_, n) => ({
    person: newId(),
    session: newId(),
    hash: randomBytes(32),
    name: `visitor ${n}`,
  }));
  const persons = visitors.map(({ person }) => person);
  await sql`
    insert into person (id, email, name)
    select id, id || '@example.org', name from unnest(${persons}::uuid[], ${visitors.map(({ name }) => name)}::text[]) as given (id, name)`;
  await sql`
    insert into membership (host_group, person, role)
    select (select id from host_group order by created_at limit 1), id, 'member' from unnest(${persons}::uuid[]) as given (id)`;
  await sql`
    insert into session (id, person, token_hash, agent, address, expires_at)
    select id, person, hash, '', '', now() + interval '1 day'
    from unnest(${visitors.map(({ session }) => session)}::uuid[], ${persons}::uuid[], ${sql.array(
      visitors.map(({ hash }) => hash),
      1001,
    )}) as given (id, person, hash)`;
  return Promise.all(
    visitors.map(async ({ person, session }) => ({ person, accessToken: (await tokens.issue(person, session)).accessToken })),
  );
}
