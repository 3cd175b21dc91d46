/** Tells someone about their own account. */

import { findPerson, groupsOf } from '../data/people.ts';
import type { Sql } from '../db/database.ts';
import { AppError } from '../errors.ts';
import type { Me } from '../protocol/rest.ts';

/** Refuses `unauthorized` where the account is gone. */
export async function readMe(sql: Sql, id: string): Promise<Me> {
  const person = await findPerson(sql, id);
  if (!person) throw new AppError('unauthorized', 'Sign in first; this account is gone.');
  const { name, email, admin, passwordHash } = person;
  return { id, name, email, admin, hasPassword: passwordHash !== null, groups: await groupsOf(sql, person) };
}
