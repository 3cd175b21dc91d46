/** Makes what an empty database lacks: the first admin, the first group. */

import type { Passwords } from '../auth/passwords.ts';
import { anyGroup, ensureGroup } from '../data/groups.ts';
import { anyPerson, insertPerson } from '../data/people.ts';
import type { Sql } from '../db/database.ts';
import { newId } from '../lib/id.ts';

export interface PrepareNeeds {
  sql: Sql;
  passwords: Passwords;
  /** Unset: an admin without a password, who gets in by a sign-in link. */
  admin: { email: string; password: string } | undefined;
}

/** Changes nothing that is there; safe when several replicas start at once. */
export async function prepareHub({ sql, passwords, admin }: PrepareNeeds): Promise<void> {
  if (!(await anyPerson(sql))) {
    const email = admin?.email ?? 'admin@localhost';
    const passwordHash = admin ? await passwords.hash(admin.password) : null;
    await insertPerson(sql, { id: newId(), email, name: email.split('@')[0] ?? email, admin: true, passwordHash });
  }
  if (!(await anyGroup(sql))) await ensureGroup(sql, newId(), 'hosts');
}
