/** Signs a browser in, once it is known who sits before it. */

import type { AccessTokens } from '../auth/accessToken.ts';
import { sessionLifetimeS } from '../auth/refreshCookie.ts';
import type { RefreshTokens } from '../auth/refreshToken.ts';
import { insertSession, trimSessions } from '../data/sessions.ts';
import type { Sql } from '../db/database.ts';
import { newId } from '../lib/id.ts';
import type { SignedIn } from '../protocol/rest.ts';
import { readMe } from './readMe.ts';

export interface Browser {
  address: string;
  /** User-Agent. */
  agent: string;
}

export interface SessionNeeds {
  sql: Sql;
  accessTokens: AccessTokens;
  refreshTokens: RefreshTokens;
  /** Told which sessions ended, so that their connections are closed. */
  sessionsEnded(sessions: string[]): void;
}

/** The answer for the body, and what goes into the cookie. */
export interface Opened {
  answer: SignedIn;
  refreshToken: string;
}

export async function openSession(needs: SessionNeeds, person: string, browser: Browser): Promise<Opened> {
  const { sql, accessTokens, refreshTokens } = needs;
  const id = newId();
  const { token, hash } = refreshTokens.make(id);
  await insertSession(sql, { id, person, tokenHash: hash, ...browser, lifetimeS: sessionLifetimeS });
  const ended = await trimSessions(sql, person);
  if (ended.length > 0) needs.sessionsEnded(ended);
  return { answer: { ...(await accessTokens.issue(person, id)), user: await readMe(sql, person) }, refreshToken: token };
}
