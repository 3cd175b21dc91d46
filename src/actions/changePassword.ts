/** Sets a person's password. */

import type { LoginLimits } from '../auth/loginLimits.ts';
import type { Passwords } from '../auth/passwords.ts';
import { findPerson, setPasswordHash } from '../data/people.ts';
import { deleteOtherSessions, deleteSignInLinks } from '../data/sessions.ts';
import type { Pool } from '../db/database.ts';
import { AppError } from '../errors.ts';
import type { PasswordChange } from '../protocol/rest.ts';

export interface PasswordNeeds {
  sql: Pool;
  passwords: Passwords;
  loginLimits: LoginLimits;
  sessionsEnded(sessions: string[]): void;
}

export interface PasswordChanger {
  person: string;
  session: string;
  address: string;
}

/** Ends all other sessions of the person. Refuses `wrong_credentials` where the current password does not match. */
export async function changePassword(needs: PasswordNeeds, changer: PasswordChanger, change: PasswordChange): Promise<void> {
  const person = await findPerson(needs.sql, changer.person);
  if (!person) throw new AppError('unauthorized', 'Sign in first; this account is gone.');
  if (person.passwordHash !== null) {
    await needs.loginLimits.take(person.email, changer.address);
    const right = change.current !== undefined && (await needs.passwords.verify(person.passwordHash, change.current));
    if (!right) throw new AppError('wrong_credentials', 'current: this is not your password.');
    needs.loginLimits.giveBack(person.email, changer.address);
  }
  const hash = await needs.passwords.hash(change.password);
  const ended = await needs.sql.begin(async (sql) => {
    await setPasswordHash(sql, person.id, hash);
    await deleteSignInLinks(sql, person.id);
    return deleteOtherSessions(sql, person.id, changer.session);
  });
  if (ended.length > 0) needs.sessionsEnded(ended);
}
