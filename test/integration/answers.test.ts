/** What REST answers has the shapes that it describes. */

import { generateKeyPairSync } from 'node:crypto';
import { afterAll, expect, test } from 'vitest';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import * as rest from '../../src/protocol/rest.ts';
import { admin, startTestApi } from '../support/api.ts';

const hub = await startTestApi(afterAll);
const browser = await hub.signIn();
const added = (await browser.post('/hosts', { name: 'described' })).body;
const { id } = added;
const message = await browser.post(`/rooms/${id}/messages`, { text: 'hello', key: 'k', at: 1_700_000_000_000, until: 1_700_000_000_001 });
const inventory = {
  os: 'Debian 13',
  kernel: '6.12',
  arch: 'x64',
  hostname: 'h',
  cpuModel: 'c',
  cores: 2,
  memory: 1,
  agentVersion: '1',
  disks: [],
  bootedAt: 1,
};
await hub.sql`
  update host set online = true, online_since = now(), last_sample_at = now(), platform = '{"os":"linux"}',
    inventory = ${JSON.stringify(inventory)}::text::jsonb where id = ${id}`;
const enrol = {
  token: added.enrolment.token,
  publicKey: generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }),
  platform: 'linux',
};

test.each<[string, TSchema, () => Promise<{ status: number; body: unknown }>]>([
  ['login', rest.SignedIn, () => hub.browser().post('/auth/login', { login: admin.email, password: admin.password })],
  ['refresh', rest.SignedIn, () => browser.post('/auth/refresh')],
  ['sessions', rest.Sessions, () => browser.get('/auth/sessions')],
  ['me', rest.Me, () => browser.get('/me')],
  ['hosts', rest.Hosts, () => browser.get('/hosts')],
  ['host', rest.Host, () => browser.get(`/hosts/${id}`)],
  ['new host', rest.AddedHost, () => browser.post('/hosts', { name: 'other' })],
  ['renamed host', rest.Host, () => browser.patch(`/hosts/${id}`, { name: 'renamed' })],
  ['enrolment', rest.Enrolment, () => browser.post(`/hosts/${id}/enrolment`)],
  [
    'enrolled',
    rest.Enrolled,
    async () => hub.browser().post('/agents/enrol', { ...enrol, token: (await browser.post(`/hosts/${id}/enrolment`)).body.token }),
  ],
  ['groups', rest.Groups, () => browser.get('/groups')],
  ['members of a group', rest.Members, async () => browser.get(`/groups/${(await browser.get('/groups')).body.items[0].id}/members`)],
  ['rooms', rest.Rooms, () => browser.get('/rooms')],
  ['room', rest.Room, () => browser.get(`/rooms/${id}`)],
  ['members of a room', rest.Members, () => browser.get(`/rooms/${id}/members`)],
  ['timeline', rest.Timeline, () => browser.get(`/rooms/${id}/messages`)],
  ['message', rest.Message, async () => message],
  ['changed message', rest.Message, () => browser.patch(`/rooms/${id}/messages/${message.body.id}`, { text: 'changed' })],
  ['time', rest.HubTime, () => browser.get('/time')],
  ['version', rest.Version, () => browser.get('/version')],
  ['problem', rest.Problem, () => browser.get('/nothing')],
])('%s', async (_, schema, ask) => {
  const { body } = await ask();
  expect(Compile(schema).Errors(body)).toEqual([]);
});

test('a host that is online says so', async () => {
  expect((await browser.get(`/hosts/${id}`)).body).toMatchObject({
    status: 'online',
    lastSampleAt: expect.any(Number),
    onlineSince: expect.any(Number),
    inventory,
    recentCpu: null,
  });
});
