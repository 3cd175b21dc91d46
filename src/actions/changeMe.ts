/** Changes someone's own name or e-mail. */

import { updatePerson } from '../data/people.ts';
import type { Sql } from '../db/database.ts';
import { codeOf } from '../db/fault.ts';
import { AppError } from '../errors.ts';
import type { Me, MePatch } from '../protocol/rest.ts';
import { readMe } from './readMe.ts';

/** SQLSTATE. */
const uniqueViolation = '23505';

export interface ChangeMeNeeds {
  sql: Sql;
  /** Tells all replicas, which know the name of whoever is connected. */
  personChanged(person: string): void;
}

/** Refuses `conflict` where somebody else has the e-mail. */
export async function changeMe({ sql, personChanged }: ChangeMeNeeds, id: string, changes: MePatch): Promise<Me> {
  try {
    await updatePerson(sql, id, changes);
  } catch (error) {
    if (codeOf(error) === uniqueViolation)
      throw new AppError('conflict', 'email: somebody else has this address; choose another.', { cause: error });
    throw error;
  }
  personChanged(id);
  return readMe(sql, id);
}
