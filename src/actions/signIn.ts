/** Signs someone in by e-mail and password. */

import type { LoginLimits } from '../auth/loginLimits.ts';
import type { Passwords } from '../auth/passwords.ts';
import { findPersonByEmail } from '../data/people.ts';
import { AppError } from '../errors.ts';
import type { Login } from '../protocol/rest.ts';
import { openSession } from './openSession.ts';
import type { Browser, Opened, SessionNeeds } from './openSession.ts';

export interface SignInNeeds extends SessionNeeds {
  passwords: Passwords;
  loginLimits: LoginLimits;
}

/** Refuses `wrong_credentials`, the same in text and time for an unknown account, or `too_many_requests`. */
export async function signIn(needs: SignInNeeds, { login, password }: Login, browser: Browser): Promise<Opened> {
  await needs.loginLimits.take(login, browser.address);
  const person = await findPersonByEmail(needs.sql, login);
  const right = await needs.passwords.verify(person?.passwordHash ?? null, password);
  if (!person || !right) throw new AppError('wrong_credentials', 'E-mail or password is wrong.');
  needs.loginLimits.giveBack(login, browser.address);
  return openSession(needs, person.id, browser);
}
