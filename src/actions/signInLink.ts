/** One-time links that sign an admin in who has no password, or forgot it. */

import type { LoginLimits } from '../auth/loginLimits.ts';
import { hashToken, newOpaqueToken } from '../auth/opaqueToken.ts';
import { anyAdminHasPassword, findFirstAdmin } from '../data/people.ts';
import { deleteSignInLinks, insertSignInLink, takeSignInLink } from '../data/sessions.ts';
import type { Pool } from '../db/database.ts';
import { AppError } from '../errors.ts';
import { openSession } from './openSession.ts';
import type { Browser, Opened, SessionNeeds } from './openSession.ts';

const lifetimeS = 24 * 3600;

/** A link for the first admin, good once within 24 h; older links end. The token stands behind `#`, so that no server sees it in a log. */
export async function makeSignInLink(pool: Pool, publicUrl: string): Promise<string> {
  const { token, hash } = newOpaqueToken();
  await pool.begin(async (sql) => {
    const admin = await findFirstAdmin(sql);
    if (!admin) throw new AppError('not_found', 'There is no admin; start the hub once with ADMIN_EMAIL and ADMIN_PASSWORD.');
    await deleteSignInLinks(sql, admin.id);
    await insertSignInLink(sql, { tokenHash: hash, person: admin.id, lifetimeS });
  });
  return `${publicUrl}/sign-in#${token}`;
}

/** The link to print at a start: only while no admin has a password. */
export const signInLinkIfNeeded = async (pool: Pool, publicUrl: string): Promise<string | undefined> =>
  (await anyAdminHasPassword(pool)) ? undefined : makeSignInLink(pool, publicUrl);

/** Uses the link up with the session it opens, or neither. Refuses `token_used`, the same for one that never was. */
export async function exchangeSignInLink(
  needs: SessionNeeds & { sql: Pool; loginLimits: LoginLimits },
  token: string,
  browser: Browser,
): Promise<Opened> {
  await needs.loginLimits.take('sign-in link', browser.address);
  const ended: string[] = [];
  const opened = await needs.sql.begin(async (sql) => {
    const person = await takeSignInLink(sql, hashToken(token));
    if (person === undefined)
      throw new AppError('token_used', 'This link was used already or has expired; make another with: npm run hub -- --sign-in-link');
    return openSession({ ...needs, sql, sessionsEnded: (sessions) => void ended.push(...sessions) }, person, browser);
  });
  needs.loginLimits.giveBack('sign-in link', browser.address);
  if (ended.length > 0) needs.sessionsEnded(ended);
  return opened;
}
