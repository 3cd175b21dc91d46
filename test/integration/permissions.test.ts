/** Every route against everyone: generated from the description of the interface, so that no new route escapes. */

import { SignJWT } from 'jose';
import { generateKeyPairSync } from 'node:crypto';
import { afterAll, describe, expect, test } from 'vitest';
import { newId } from '../../src/lib/id.ts';
import { startTestApi } from '../support/api.ts';
import type { Answer, Browser } from '../support/browser.ts';

const hub = await startTestApi(afterAll);
const admin = await hub.signIn();

interface Operation {
  method: string;
  path: string;
  open: boolean;
  hasBody: boolean;
}

const document = (await admin.ask('GET', '/openapi.json')).body as {
  paths: Record<string, Record<string, { security?: unknown[]; requestBody?: unknown }>>;
};
const operations: Operation[] = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, { security, requestBody }]) => ({
    method: method.toUpperCase(),
    path,
    open: security === undefined,
    hasBody: requestBody !== undefined,
  })),
);
const nameOf = ({ method, path }: Operation): string => `${method} ${path.replace('/api/v1', '')}`;

// What belongs to the admin and the group `hosts`.
const host = (await admin.post('/hosts', { name: 'theirs' })).body.id as string;
const message = (await admin.post(`/rooms/${host}/messages`, { text: 'mine' })).body.id as string;
const group = (await admin.get('/groups')).body.items[0].id as string;
const session = (await admin.get('/auth/sessions')).body.items[0].id as string;
const agentKey = generateKeyPairSync('ed25519');

/** A valid body for each operation that takes one; a new route has to be named here. */
const bodies: Record<string, unknown> = {
  'POST /auth/login': { login: 'x@example.com', password: 'wrong' },
  'POST /auth/sign-in-link': { token: 'x'.repeat(43) },
  'PUT /auth/password': { current: 'wrong', password: 'a new long password' },
  'PATCH /me': { name: 'someone' },
  'POST /hosts': { name: 'new', group },
  'PATCH /hosts/{id}': { name: 'renamed' },
  'POST /groups/{id}/enrolment-tokens': { uses: 5, expiresAt: Date.now() + 3_600_000 },
  'POST /rooms/{id}/messages': { text: 'hello' },
  'PATCH /rooms/{id}/messages/{messageId}': { text: 'changed' },
  'PUT /storage/retention': { raw: 10_800_000 },
  'PUT /replicas/scale': { replicas: 2 },
  'POST /agents/enrol': { token: 'x'.repeat(43), publicKey: generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }) },
};

/** The object that stands behind `{id}` in a path. */
function idFor(path: string): string {
  const noun = /^\/api\/v1\/([a-z]+)\/(?:([a-z]+)\/)?\{id\}/.exec(path);
  const found = { hosts: host, rooms: host, groups: group, sessions: session }[noun?.[2] ?? noun?.[1] ?? ''];
  if (!found) throw new Error(`name an object for ${path} here, so that the sweep covers it`);
  return found;
}

function ask(browser: Browser, operation: Operation, over: { id?: string; token?: string | null } = {}): Promise<Answer> {
  const { method, path, hasBody } = operation;
  const body = bodies[nameOf(operation)];
  if (hasBody && body === undefined) throw new Error(`give a body for ${nameOf(operation)} here, so that the sweep covers it`);
  let filled = path.replace('{messageId}', over.id ?? message).replace('{tokenId}', '0'.repeat(64));
  if (filled.includes('{id}')) filled = filled.replace('{id}', over.id ?? idFor(path));
  if (filled.includes('{')) throw new Error(`unknown parameter in ${path}`);
  const queries: Record<string, string> = { samples: '?from=0&to=1', series: '?metrics=*&from=0&to=1' };
  const query = queries[path.slice(path.lastIndexOf('/') + 1)] ?? '';
  return browser.ask(method, filled + query, { body, ...('token' in over ? { token: over.token } : {}) });
}

const guarded = operations.filter((operation) => !operation.open);
const withIds = guarded.filter((operation) => operation.path.includes('{'));

test('what is open is open on purpose', () => {
  expect(
    operations
      .filter((operation) => operation.open)
      .map(nameOf)
      .toSorted(),
  ).toEqual([
    'GET /time',
    'GET /version',
    'POST /agents/enrol',
    'POST /auth/login',
    'POST /auth/logout',
    'POST /auth/refresh',
    'POST /auth/sign-in-link',
  ]);
  expect(guarded.length).toBeGreaterThan(15);
});

describe('nobody gets in', () => {
  test.each(guarded.map((operation) => [nameOf(operation), operation] as const))('%s', async (_, operation) => {
    expect((await ask(hub.browser(), operation, { token: null })).status).toBe(401);
  });
});

describe('the token of an agent opens nothing here', () => {
  test.each(guarded.map((operation) => [nameOf(operation), operation] as const))('%s', async (_, operation) => {
    const enrolment = await admin.post(`/hosts/${host}/enrolment`);
    await hub.browser().post('/agents/enrol', { token: enrolment.body.token, publicKey: agentKey.publicKey.export({ format: 'jwk' }) });
    const token = await new SignJWT({ jti: newId() })
      .setProtectedHeader({ alg: 'EdDSA', typ: 'agent+jwt', kid: host })
      .setSubject(host)
      .setAudience(hub.hubId)
      .setIssuedAt()
      .setExpirationTime('5m')
      .sign(agentKey.privateKey);
    expect((await ask(hub.browser(), operation, { token })).status).toBe(401);
  });
});

describe('who has no role sees nothing of what is there, and no difference to what is not', async () => {
  const stranger = await hub.person(undefined);
  test.each(withIds.map((operation) => [nameOf(operation), operation] as const))('%s', async (_, operation) => {
    const there = await ask(stranger, operation);
    const nowhere = await ask(stranger, operation, { id: newId() });
    expect([there.status, nowhere.status]).toEqual([404, 404]);
    expect({ ...there.body, request: '' }).toEqual({ ...nowhere.body, request: '' });
  });

  test('lists are empty', async () => {
    for (const path of ['/hosts', '/rooms', '/groups']) expect((await stranger.get(path)).body).toEqual({ items: [], next: null });
    expect((await stranger.post('/hosts', { name: 'x', group })).status).toBe(404);
    expect((await stranger.post('/hosts', { name: 'x' })).status).toBe(404);
  });
});

const changes = ['POST /hosts', 'PATCH /hosts/{id}', 'DELETE /hosts/{id}', 'POST /hosts/{id}/enrolment'];
const tokens = ['POST', 'GET']
  .map((method) => `${method} /groups/{id}/enrolment-tokens`)
  .concat('DELETE /groups/{id}/enrolment-tokens/{tokenId}');
const posts = ['POST /rooms/{id}/messages'];
const foreignMessages = ['PATCH /rooms/{id}/messages/{messageId}', 'DELETE /rooms/{id}/messages/{messageId}'];

describe.each([
  ['viewer', [...changes, ...tokens, ...posts, ...foreignMessages]],
  ['member', [...changes, ...tokens, ...foreignMessages]],
  ['operator', foreignMessages],
] as const)('a %s', async (role, forbidden) => {
  const person = await hub.person(role);
  test.each(
    operations
      .filter((operation) => (forbidden as readonly string[]).includes(nameOf(operation)))
      .map((operation) => [nameOf(operation), operation] as const),
  )('may not %s', async (_, operation) => expect(await ask(person, operation)).toMatchObject({ status: 403, body: { code: 'forbidden' } }));

  test.each(
    withIds
      .filter((one) => one.method === 'GET' && !one.path.includes('sessions') && !(forbidden as readonly string[]).includes(nameOf(one)))
      .map((operation) => [nameOf(operation), operation] as const),
  )('may %s', async (_, operation) => expect((await ask(person, operation)).status).toBe(200));

  test('is told its role', async () => {
    expect((await person.get('/hosts')).body.items[0].role).toBe(role);
    expect((await person.get(`/rooms/${host}`)).body.role).toBe(role);
    expect((await person.get('/me')).body.groups).toEqual([{ id: group, name: 'hosts', role }]);
  });
});

test('the sweep left everything as it was', async () => {
  expect((await admin.get(`/hosts/${host}`)).body.name).toBe('theirs');
  expect((await admin.get(`/rooms/${host}/messages`)).body.items.filter((item: { kind: string }) => item.kind === 'message')).toMatchObject(
    [{ id: message, text: 'mine' }],
  );
  expect((await admin.get('/hosts')).body.items).toHaveLength(1);
});
