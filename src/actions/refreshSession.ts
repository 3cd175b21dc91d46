/** Gives a signed-in browser its next tokens. */

import { sessionLifetimeS } from '../auth/refreshCookie.ts';
import { deleteSession, lockSession, rotateSession } from '../data/sessions.ts';
import type { Pool } from '../db/database.ts';
import { AppError } from '../errors.ts';
import { readMe } from './readMe.ts';
import type { Opened, SessionNeeds } from './openSession.ts';

export interface RefreshNeeds extends SessionNeeds {
  sql: Pool;
  /** Told of a session whose rotated token was used again: somebody may have stolen it. */
  tokenReused(session: string, person: string): void;
}

/** For two tabs at once, or an answer that got lost. */
const graceS = 10;

/**
 * Rotates the refresh token. Within 10 s the token before gets the same successor, as long as that is unused; any other use of a
 * rotated token ends the session. Refuses `unauthorized`.
 */
export async function refreshSession(needs: RefreshNeeds, presented: string | undefined, address: string): Promise<Opened> {
  const read = presented === undefined ? undefined : needs.refreshTokens.read(presented);
  if (!read) throw new AppError('unauthorized', 'Sign in again: there is no session, or it has ended.');
  const { session, hash } = read;

  const outcome = await needs.sql.begin(async (sql) => {
    const found = await lockSession(sql, session, hash, graceS);
    if (!found) return undefined;
    const { person, current, inGrace, successor } = found;
    if (inGrace && successor) return { person, token: needs.refreshTokens.unseal(successor, session) };
    if (!current) {
      await deleteSession(sql, session, person);
      return { person, token: undefined };
    }
    const next = needs.refreshTokens.make(session);
    const sealed = needs.refreshTokens.seal(next.token, session);
    await rotateSession(sql, session, { tokenHash: next.hash, successor: sealed, address, lifetimeS: sessionLifetimeS });
    return { person, token: next.token };
  });

  if (outcome && outcome.token === undefined) {
    needs.sessionsEnded([session]);
    needs.tokenReused(session, outcome.person);
  }
  if (outcome?.token === undefined) throw new AppError('unauthorized', 'Sign in again: there is no session, or it has ended.');
  const answer = { ...(await needs.accessTokens.issue(outcome.person, session)), user: await readMe(needs.sql, outcome.person) };
  return { answer, refreshToken: outcome.token };
}
