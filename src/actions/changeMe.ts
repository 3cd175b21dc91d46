/** Changes someone's own name or e-mail. */

import { findPersonByEmail, updatePerson } from '../data/people.ts';
import type { Sql } from '../db/database.ts';
import { AppError } from '../errors.ts';
import type { Me, MePatch } from '../protocol/rest.ts';
import { readMe } from './readMe.ts';

/** Refuses `conflict` where somebody else has the e-mail. */
export async function changeMe(sql: Sql, id: string, changes: MePatch): Promise<Me> {
  const holder = changes.email === undefined ? undefined : await findPersonByEmail(sql, changes.email);
  if (holder && holder.id !== id) throw new AppError('conflict', 'email: somebody else has this address; choose another.');
  await updatePerson(sql, id, changes);
  return readMe(sql, id);
}
