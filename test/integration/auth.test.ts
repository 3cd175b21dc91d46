/** Signing in and out over REST, with everything that may go wrong on the way. */

import { afterAll, expect, onTestFinished, test } from 'vitest';
import { makeSignInLink } from '../../src/actions/signInLink.ts';
import { identify } from '../../src/actions/identify.ts';
import { Directory } from '../../src/data/directory.ts';
import { admin, startTestApi } from '../support/api.ts';

const hub = await startTestApi(afterAll);
const cookieName = 'hostroom-8080';

/** As if the last rotation was longer ago than the grace time. */
const afterGrace = () => hub.sql`update session set rotated_at = rotated_at - interval '11 seconds'`;

test('login gives an access token and a cookie that scripts cannot read', async () => {
  const browser = hub.browser();
  const answer = await browser.post('/auth/login', { login: 'ADMIN@Example.com', password: admin.password });
  expect(answer).toMatchObject({ status: 200, body: { expiresIn: 600, user: { email: admin.email, admin: true, hasPassword: true } } });
  expect(answer.body.user.groups).toEqual([expect.objectContaining({ name: 'hosts', role: 'owner' })]);
  expect(answer.headers.get('cache-control')).toBe('no-store');
  const cookie = answer.headers.getSetCookie()[0] ?? '';
  expect(cookie).toMatch(new RegExp(`^${cookieName}=[A-Za-z0-9_-]{86}; Max-Age=2592000; Path=/; HttpOnly; SameSite=Strict$`));
  expect(JSON.stringify(answer.body)).not.toContain(browser.cookies.get(cookieName));
  expect((await browser.get('/me', { token: answer.body.accessToken })).body).toEqual(answer.body.user);
});

test('on https the cookie has the __Host- prefix and Secure', async () => {
  const secure = await startTestApi(onTestFinished, { publicUrl: 'https://hub.example.com' });
  const answer = await secure.browser().post('/auth/login', { login: admin.email, password: admin.password });
  expect(answer.headers.getSetCookie()[0]).toMatch(/^__Host-hostroom=.*; Path=\/; HttpOnly; Secure; SameSite=Strict$/);
  expect(answer.headers.get('strict-transport-security')).toContain('max-age=31536000');
});

test('an unknown account and a wrong password look the same', async () => {
  const wrong = await hub.browser('10.2.0.1').post('/auth/login', { login: admin.email, password: 'not the password' });
  const unknown = await hub.browser('10.2.0.2').post('/auth/login', { login: 'nobody@example.com', password: 'not the password' });
  expect({ ...wrong.body, request: '' }).toEqual({ ...unknown.body, request: '' });
  expect(wrong.body).toMatchObject({ status: 401, code: 'wrong_credentials' });
  expect(wrong.headers.getSetCookie()).toEqual([]);
});

test('guessing is stopped after five tries, for that account from that address', async () => {
  const guesser = hub.browser('10.3.0.1');
  const statuses: number[] = [];
  for (let i = 0; i < 7; i++) statuses.push((await guesser.post('/auth/login', { login: admin.email, password: 'guess' })).status);
  expect(statuses).toEqual([401, 401, 401, 401, 401, 429, 429]);
  expect((await hub.browser('10.3.0.2').post('/auth/login', { login: admin.email, password: admin.password })).status).toBe(200);
});

test('a made-up X-Forwarded-For helps nobody who is no trusted proxy', async () => {
  const direct = await startTestApi(onTestFinished, { trustedProxies: [] });
  const guess = (i: number) => direct.browser(`10.9.0.${i}`).post('/auth/login', { login: `a${i}@example.com`, password: 'guess' });
  // All at once, so that the limit does not refill meanwhile.
  const statuses = (await Promise.all(Array.from({ length: 30 }, (_, i) => guess(i)))).map((answer) => answer.status);
  expect(statuses.filter((status) => status === 401).length).toBeLessThan(25);
  expect(statuses).toContain(429);
});

test('refresh rotates the cookie and keeps the session', async () => {
  const browser = await hub.signIn();
  const before = browser.cookies.get(cookieName);
  const answer = await browser.post('/auth/refresh');
  expect(answer).toMatchObject({ status: 200, body: { expiresIn: 600, user: { email: admin.email } } });
  expect(browser.cookies.get(cookieName)).not.toBe(before);
  expect((await browser.get('/auth/sessions')).body.items.filter((one: { current: boolean }) => one.current)).toHaveLength(1);
});

test('two tabs at once, and an answer that got lost, get the same successor', async () => {
  const browser = await hub.signIn();
  const tabs = Array.from({ length: 5 }, () => browser.tab());
  const answers = await Promise.all(tabs.map((tab) => tab.post('/auth/refresh')));
  expect(answers.map((answer) => answer.status)).toEqual([200, 200, 200, 200, 200]);
  const successors = new Set(tabs.map((tab) => tab.cookies.get(cookieName)));
  expect(successors.size).toBe(1);
  expect(successors.has(browser.cookies.get(cookieName))).toBe(false);
  // Both go on from there.
  expect((await tabs[0]?.post('/auth/refresh'))?.status).toBe(200);
});

test('a rotated token used again ends the session, however old it is', async () => {
  const browser = await hub.signIn();
  const thief = browser.tab();
  expect((await browser.post('/auth/refresh')).status).toBe(200);
  await afterGrace();
  expect((await browser.post('/auth/refresh')).status).toBe(200);
  // Two rotations back, and out of grace.
  const session = (await browser.get('/auth/sessions')).body.items.find((one: { current: boolean }) => one.current).id;
  expect(await thief.post('/auth/refresh')).toMatchObject({ status: 401, body: { code: 'unauthorized' } });
  expect(thief.cookies.has(cookieName)).toBe(false);
  expect(hub.told.reused).toContain(session);
  expect(hub.told.ended).toContain(session);
  expect((await browser.post('/auth/refresh')).status).toBe(401);
  // The access token of the session is worth nothing either.
  expect((await browser.get('/me')).status).toBe(401);
});

test('in the grace time a used successor no longer helps an old token', async () => {
  const browser = await hub.signIn();
  const old = browser.tab();
  await browser.post('/auth/refresh');
  await browser.post('/auth/refresh');
  expect((await old.post('/auth/refresh')).status).toBe(401);
  expect((await browser.post('/auth/refresh')).status).toBe(401);
});

test('refresh only by POST, from the own page, without a form', async () => {
  const browser = await hub.signIn();
  expect((await browser.get('/auth/refresh')).status).toBe(405);
  const foreign: Record<string, string>[] = [
    { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
    { origin: 'null', 'sec-fetch-site': 'cross-site' },
    { origin: 'http://localhost:8081', 'sec-fetch-site': 'same-site' },
    { origin: 'http://localhost:8080.evil.example', 'sec-fetch-site': 'cross-site' },
    { origin: 'https://localhost:8080', 'sec-fetch-site': 'cross-site' },
    // A name rebound to the hub's address is "same-origin" to the browser.
    { origin: 'http://evil.example:8080', 'sec-fetch-site': 'same-origin' },
  ];
  for (const headers of foreign) {
    const answer = await browser.post('/auth/refresh', undefined, { headers });
    expect(answer).toMatchObject({ status: 403, body: { code: 'foreign_origin' } });
    expect(answer.headers.getSetCookie()).toEqual([]);
    expect((await browser.post('/auth/logout', undefined, { headers })).status).toBe(403);
    expect((await browser.patch('/me', { name: 'x' }, { headers })).status).toBe(403);
  }
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x']) {
    expect((await browser.post('/auth/refresh', undefined, { raw: '{}', headers: { 'content-type': type } })).status).toBe(415);
    expect((await browser.post('/auth/refresh', undefined, { headers: { 'content-type': type } })).status).toBe(415);
  }
  expect((await browser.post('/auth/refresh')).status).toBe(200);
});

test('programs that are no browsers need no Origin', async () => {
  const response = await fetch(`${hub.url}/api/v1/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-forwarded-for': '10.4.0.1' },
    body: JSON.stringify({ login: admin.email, password: admin.password }),
  });
  expect(response.status).toBe(200);
});

test('logout ends the session at once', async () => {
  const browser = await hub.signIn();
  const other = await hub.signIn();
  const thief = browser.tab();
  const answer = await browser.post('/auth/logout');
  expect(answer.status).toBe(204);
  expect(browser.cookies.has(cookieName)).toBe(false);
  expect((await browser.get('/me')).status).toBe(401);
  expect((await thief.post('/auth/refresh')).status).toBe(401);
  expect((await other.get('/me')).status).toBe(200);
  expect((await hub.browser().post('/auth/logout')).status).toBe(204);
});

test('a new password ends all other sessions', async () => {
  const one = await hub.person('viewer');
  const two = hub.browser('10.5.0.1');
  await two.signIn(one.email, 'another long password');
  expect(await one.put('/auth/password', { password: 'a brand new password' })).toMatchObject({
    status: 401,
    body: { code: 'wrong_credentials' },
  });
  expect((await one.put('/auth/password', { current: 'wrong one', password: 'a brand new password' })).status).toBe(401);
  expect((await one.put('/auth/password', { current: 'another long password', password: 'short' })).status).toBe(400);
  expect((await one.put('/auth/password', { current: 'another long password', password: 'a brand new password' })).status).toBe(204);
  expect((await one.get('/me')).status).toBe(200);
  expect((await one.post('/auth/refresh')).status).toBe(200);
  expect((await two.get('/me')).status).toBe(401);
  expect((await two.post('/auth/refresh')).status).toBe(401);
  await two.signIn(one.email, 'a brand new password');
});

test('sessions are listed and ended by their owner only', async () => {
  const mine = await hub.person('viewer');
  const other = await hub.person('viewer');
  const theirs = (await other.get('/auth/sessions')).body.items[0].id;
  expect((await mine.delete(`/auth/sessions/${theirs}`)).status).toBe(404);
  expect((await other.get('/me')).status).toBe(200);
  const [own] = (await mine.get('/auth/sessions')).body.items;
  expect(own).toMatchObject({ current: true, address: '10.0.0.3' });
  expect((await mine.delete(`/auth/sessions/${own.id}`)).status).toBe(204);
  expect((await mine.get('/me')).status).toBe(401);
});

test('the account page changes name and e-mail, and nothing else', async () => {
  const person = await hub.person('member');
  expect((await person.patch('/me', { name: 'Ada' })).body).toMatchObject({ name: 'Ada', admin: false });
  for (const body of [
    { admin: true },
    { role: 'owner' },
    { id: hub.hubId },
    { name: '' },
    { name: 'a\r\nb' },
    { email: 'x' },
    { name: 7 },
    [],
  ])
    expect(await person.patch('/me', body)).toMatchObject({ status: 400, body: { code: 'invalid' } });
  expect(await person.patch('/me', { email: admin.email.toUpperCase() })).toMatchObject({ status: 409, body: { code: 'conflict' } });
});

test('an access token identifies until it expires or its session ends', async () => {
  const browser = await hub.signIn();
  const directory = new Directory({ sql: hub.sql });
  const needs = { directory, accessTokens: hub.accessTokens, hub: hub.hubId, clock: hub.clock };
  const token = browser.token ?? '';
  expect(await identify(needs, token)).toMatchObject({ kind: 'user', id: browser.id, admin: true });
  hub.clock.offsetMs = 606_000;
  expect(await identify(needs, token)).toBe('expired');
  hub.clock.offsetMs = 0;
  await browser.post('/auth/logout');
  directory.sessionsEnded(hub.told.ended);
  expect(await identify(needs, token)).toBe('invalid');
});

test('every wrong token has the same answer', async () => {
  const browser = await hub.signIn();
  const expired = await (async () => {
    hub.clock.offsetMs = -700_000;
    const { accessToken } = await hub.accessTokens.issue(browser.id, hub.hubId);
    hub.clock.offsetMs = 0;
    return accessToken;
  })();
  const answers = [];
  for (const token of [null, 'x', 'a.b.c', `${browser.token}x`, expired, 'a'.repeat(5000), browser.cookies.get(cookieName) ?? ''])
    answers.push(await hub.browser().get('/me', { token }));
  for (const { status, headers, body } of answers) {
    const problem = { ...body, request: '' };
    expect({ status, problem }).toEqual({
      status: 401,
      problem: {
        type: 'about:blank',
        title: 'Sign in first.',
        status: 401,
        code: 'unauthorized',
        detail: expect.stringContaining('Bearer'),
        request: '',
      },
    });
    expect(headers.get('www-authenticate')).toBe('Bearer');
  }
  // Never in the address.
  expect((await hub.browser().get(`/me?access_token=${browser.token}`)).status).toBe(401);
});

test('the database holds hashes only, and the log no secret', async () => {
  const browser = await hub.signIn();
  await browser.post('/auth/refresh');
  const host = (await browser.post('/hosts', { name: 'secretive' })).body;
  const link = (await makeSignInLink(hub.sql, hub.publicUrl)).split('#')[1] ?? '';
  const tables = await Promise.all(
    ['person', 'session', 'sign_in_link', 'enrolment'].map((table) => hub.sql`select t::text as row from ${hub.sql(table)} t`),
  );
  const stored = tables
    .flat()
    .map((row) => String(row['row']))
    .join('\n');
  const asHex = (text: string): string => Buffer.from(text, 'utf8').toString('hex');
  const refresh = browser.cookies.get(cookieName) ?? '';
  for (const secret of [admin.password, refresh, browser.token ?? '', host.enrolment.token, link]) {
    expect(secret.length).toBeGreaterThan(10);
    expect(stored).not.toContain(secret);
    expect(stored).not.toContain(asHex(secret));
    expect(hub.lines.join('')).not.toContain(secret);
  }
  expect(hub.lines.length).toBeGreaterThan(10);
  expect(hub.lines.join('')).not.toContain(admin.email);
});

test('registering is refused with a reason', async () => {
  expect(await hub.browser().post('/auth/register', { email: 'x@example.com' })).toMatchObject({
    status: 403,
    body: { code: 'forbidden' },
  });
});
