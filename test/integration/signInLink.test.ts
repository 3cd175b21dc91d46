/** The one-time link by which an admin without a password signs in. */

import { expect, onTestFinished, test } from 'vitest';
import { makeSignInLink, signInLinkIfNeeded } from '../../src/actions/signInLink.ts';
import { startTestApi } from '../support/api.ts';

test('without a password the first admin gets in by a link, once', async () => {
  const fresh = await startTestApi(onTestFinished, { withoutAdmin: true });
  const link = (await signInLinkIfNeeded(fresh.sql, fresh.publicUrl)) ?? '';
  expect(link).toMatch(/^http:\/\/localhost:8080\/sign-in#[A-Za-z0-9_-]{43}$/);
  const token = link.split('#')[1];
  const browser = fresh.browser();
  const answer = await browser.post('/auth/sign-in-link', { token });
  expect(answer).toMatchObject({ status: 200, body: { user: { email: 'admin@localhost', admin: true, hasPassword: false } } });
  expect(await fresh.browser().post('/auth/sign-in-link', { token })).toMatchObject({ status: 410, body: { code: 'token_used' } });
  // The first password needs no current one.
  browser.token = answer.body.accessToken;
  expect((await browser.put('/auth/password', { password: 'the first password' })).status).toBe(204);
  expect(await signInLinkIfNeeded(fresh.sql, fresh.publicUrl)).toBeUndefined();
  await fresh.browser().signIn('admin@localhost', 'the first password');
  // A newer link ends the older one, and time ends both.
  const older = (await makeSignInLink(fresh.sql, fresh.publicUrl)).split('#')[1];
  const newer = (await makeSignInLink(fresh.sql, fresh.publicUrl)).split('#')[1];
  expect((await fresh.browser().post('/auth/sign-in-link', { token: older })).status).toBe(410);
  await fresh.sql`update sign_in_link set expires_at = now() - interval '1 second'`;
  expect((await fresh.browser().post('/auth/sign-in-link', { token: newer })).status).toBe(410);
});

test('a sign-in link that could not be stored as used is not used up', async () => {
  const fresh = await startTestApi(onTestFinished);
  const token = (await makeSignInLink(fresh.sql, fresh.publicUrl)).split('#')[1];
  await fresh.sql`create function fill_disk() returns trigger language plpgsql as $$ begin raise exception using errcode = 'disk_full'; end $$`;
  await fresh.sql`create trigger fill_disk before insert on session execute function fill_disk()`;
  expect(await fresh.browser().post('/auth/sign-in-link', { token })).toMatchObject({ status: 503, body: { code: 'unavailable' } });
  await fresh.sql`drop trigger fill_disk on session`;
  expect((await fresh.browser().post('/auth/sign-in-link', { token })).status).toBe(200);
});
