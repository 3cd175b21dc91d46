/** Lets only signed-in people through, unless a route says that it is open. */

import type { FastifyInstance, FastifyRequest } from 'fastify';
import { identifyUser } from '../actions/identify.ts';
import type { IdentifiedUser } from '../actions/identify.ts';
import type { AccessTokens } from '../auth/accessToken.ts';
import { findSession } from '../data/sessions.ts';
import type { Sql } from '../db/database.ts';
import { AppError } from '../errors.ts';

declare module 'fastify' {
  interface FastifyRequest {
    user: IdentifiedUser | null;
  }
  interface FastifyContextConfig {
    /** Anyone may ask; absent: only with an access token. */
    open?: true;
  }
}

/** Guards all routes that are added to `app` afterwards. The check runs before the body is read. */
export function guard(app: FastifyInstance, { sql, accessTokens }: { sql: Sql; accessTokens: AccessTokens }): void {
  // Asked of the database each time, so that signing out works at once.
  const needs = { accessTokens, directory: { session: (id: string) => findSession(sql, id) } };
  app.decorateRequest('user', null);
  app.addHook('onRequest', async (request) => {
    if (request.routeOptions.config.open) return;
    const token = /^Bearer ([A-Za-z0-9._-]+)$/i.exec(request.headers.authorization ?? '')?.[1];
    const user = token === undefined ? 'invalid' : await identifyUser(needs, token);
    if (typeof user === 'string')
      throw new AppError('unauthorized', 'Sign in first, and send the access token as: Authorization: Bearer …');
    request.user = user;
  });
}

/** Whom the guard let through. */
export function userOf(request: FastifyRequest): IdentifiedUser {
  if (!request.user) throw new AppError('unauthorized', 'Sign in first.');
  return request.user;
}
