/** Routes of signing in and out. */

import '@fastify/cookie';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { changePassword } from '../actions/changePassword.ts';
import type { PasswordNeeds } from '../actions/changePassword.ts';
import type { Browser, Opened } from '../actions/openSession.ts';
import { refreshSession } from '../actions/refreshSession.ts';
import type { RefreshNeeds } from '../actions/refreshSession.ts';
import { signIn } from '../actions/signIn.ts';
import type { SignInNeeds } from '../actions/signIn.ts';
import { exchangeSignInLink } from '../actions/signInLink.ts';
import { endSession, readSessions, signOut } from '../actions/signOut.ts';
import { refreshCookie } from '../auth/refreshCookie.ts';
import { AppError } from '../errors.ts';
import { IdParams, Login, PasswordChange, Sessions, SignInLink, SignedIn } from '../protocol/rest.ts';
import type { SignedIn as SignedInAnswer } from '../protocol/rest.ts';
import { userOf } from './guards.ts';
import { Nothing, refusals, signedIn } from './routes.ts';
import type { Api } from './routes.ts';

export type AuthNeeds = SignInNeeds & RefreshNeeds & PasswordNeeds & { publicUrl: string };

const tags = ['auth'];

export function authRoutes(app: Api, needs: AuthNeeds): void {
  const { name, options } = refreshCookie(needs.publicUrl);
  const open = { open: true } as const;
  const answer = (reply: FastifyReply, opened: Opened): SignedInAnswer => {
    void reply.setCookie(name, opened.refreshToken, options);
    return opened.answer;
  };
  const dropCookie = (reply: FastifyReply): void => void reply.clearCookie(name, { ...options, maxAge: undefined });

  app.post(
    '/auth/login',
    { config: open, schema: { tags, summary: 'Sign in by e-mail and password', body: Login, response: { 200: SignedIn, ...refusals } } },
    async (request, reply) => answer(reply, await signIn(needs, request.body, browserOf(request))),
  );

  app.post(
    '/auth/sign-in-link',
    { config: open, schema: { tags, summary: 'Sign in by a one-time link', body: SignInLink, response: { 200: SignedIn, ...refusals } } },
    async (request, reply) => answer(reply, await exchangeSignInLink(needs, request.body.token, browserOf(request))),
  );

  app.post(
    '/auth/refresh',
    { config: open, schema: { tags, summary: 'The next access token, by the refresh cookie', response: { 200: SignedIn, ...refusals } } },
    async (request, reply) => {
      takesCookie(request);
      try {
        return answer(reply, await refreshSession(needs, request.cookies[name], request.ip));
      } catch (error) {
        if (error instanceof AppError && error.code === 'unauthorized') dropCookie(reply);
        throw error;
      }
    },
  );

  app.post(
    '/auth/logout',
    { config: open, schema: { tags, summary: 'End the session of the refresh cookie', response: { 204: Nothing, ...refusals } } },
    async (request, reply) => {
      takesCookie(request);
      await signOut(needs, request.cookies[name]);
      dropCookie(reply);
      return reply.code(204).send(null);
    },
  );

  app.put(
    '/auth/password',
    {
      schema: {
        tags,
        security: signedIn,
        summary: 'Set the own password',
        description: 'Ends all other sessions. `current` is needed once a password is set.',
        body: PasswordChange,
        response: { 204: Nothing, ...refusals },
      },
    },
    async (request, reply) => {
      const { id, session } = userOf(request);
      await changePassword(needs, { person: id, session, address: request.ip }, request.body);
      return reply.code(204).send(null);
    },
  );

  app.get(
    '/auth/sessions',
    { schema: { tags, security: signedIn, summary: 'The own sessions, the last used first', response: { 200: Sessions, ...refusals } } },
    async (request) => readSessions(needs.sql, userOf(request).id, userOf(request).session),
  );

  app.delete(
    '/auth/sessions/:id',
    { schema: { tags, security: signedIn, summary: 'End an own session', params: IdParams, response: { 204: Nothing, ...refusals } } },
    async (request, reply) => {
      await endSession(needs, userOf(request).id, request.params.id);
      return reply.code(204).send(null);
    },
  );

  // Part of the interface, so that programs get a reason rather than "not found".
  app.post('/auth/register', { config: open, schema: { hide: true } }, async () => {
    throw new AppError('forbidden', 'Nobody can register here; an admin makes the accounts (REGISTRATION).');
  });
}

/** A form of another site can send a cookie, but neither JSON nor no type at all. */
function takesCookie(request: FastifyRequest): void {
  const type = request.headers['content-type'];
  if (type !== undefined && !/^application\/json\s*(;|$)/i.test(type))
    throw new AppError('unsupported_media_type', 'Send application/json.');
}

const browserOf = (request: FastifyRequest): Browser => ({ address: request.ip, agent: request.headers['user-agent'] ?? '' });
