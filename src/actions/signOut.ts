/** Ends sessions. */

import type { RefreshTokens } from '../auth/refreshToken.ts';
import { deleteSession, listSessions, lockSession } from '../data/sessions.ts';
import type { Sql } from '../db/database.ts';
import { AppError } from '../errors.ts';
import type { Sessions } from '../protocol/rest.ts';

export interface SignOutNeeds {
  sql: Sql;
  refreshTokens: RefreshTokens;
  sessionsEnded(sessions: string[]): void;
}

/** Ends the session of a refresh token; a token without a session is fine. */
export async function signOut(needs: SignOutNeeds, presented: string | undefined): Promise<void> {
  const read = presented === undefined ? undefined : needs.refreshTokens.read(presented);
  const found = read && (await lockSession(needs.sql, read.session, read.hash, 0));
  if (!read || !found) return;
  await deleteSession(needs.sql, read.session, found.person);
  needs.sessionsEnded([read.session]);
}

/** Ends one of the asker's own sessions; refuses `not_found`. */
export async function endSession(needs: SignOutNeeds, person: string, session: string): Promise<void> {
  if (!(await deleteSession(needs.sql, session, person))) throw new AppError('not_found', 'You have no such session.');
  needs.sessionsEnded([session]);
}

/** The asker's sessions, the last used first. */
export async function readSessions(sql: Sql, person: string, current: string): Promise<Sessions> {
  const rows = await listSessions(sql, person);
  return {
    items: rows.map(({ person: _, ...row }) => ({ ...row, current: row.id === current })),
    next: null,
  };
}
