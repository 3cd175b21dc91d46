/** Rights that end while someone is connected, and doors that stay shut, on the whole hub. */

import { request } from 'node:http';
import { afterAll, expect, test } from 'vitest';
import { newId } from '../../src/lib/id.ts';
import { startTestApp } from '../support/app.ts';
import { Browser } from '../support/browser.ts';
import { FakeAgent } from '../support/fakeAgent.ts';
import { RawClient } from '../support/rawClient.ts';
import { until } from '../support/until.ts';

const admin = { email: 'admin@example.com', password: 'correct horse battery' };
const hub = await startTestApp(afterAll, {
  ADMIN_EMAIL: admin.email,
  ADMIN_PASSWORD: admin.password,
  TRUSTED_PROXIES: '127.0.0.1',
  LOG_LEVEL: 'trace',
});
const socketUrl = `${hub.url.replace('http', 'ws')}/connection/websocket`;
const { sql } = hub.database;

async function signIn(who = admin): Promise<Browser> {
  const browser = new Browser(hub.url, hub.config.publicUrl, '10.0.0.1');
  await browser.signIn(who.email, who.password);
  return browser;
}
const socketOf = (browser: Browser): Promise<RawClient> => RawClient.connect(socketUrl, browser.token ?? '');
const closeOf = (client: RawClient, what: string) => until(() => client.closed, what, 2_000);

/** A host with a connected agent. */
async function newHost(browser: Browser): Promise<{ agent: FakeAgent; socket: RawClient; id: string }> {
  const { id, enrolment } = (await browser.post('/hosts', { name: `host ${newId()}` })).body;
  const agent = await new FakeAgent(hub.url).enrol(enrolment.token);
  return { id, agent, socket: await agent.connect() };
}

test('signing out closes the connections of that session, and no others', async () => {
  const [one, other] = [await signIn(), await signIn()];
  const [ending, tab, staying] = [await socketOf(one), await socketOf(one), await socketOf(other)];
  await one.post('/auth/logout');
  expect(await closeOf(ending, 'the session is closed')).toMatchObject({ code: 3500 });
  expect(await closeOf(tab, 'the other tab is closed')).toMatchObject({ code: 3500 });
  expect((await staying.call('presence_stats', { channel: 'room:x' })).error?.code).toBe(103);
  // Its access token does not expire for minutes, and is worth nothing.
  await expect(socketOf(one)).rejects.toThrow('3500');
  await staying.close();
});

test('a refresh token used twice closes the connections of its session', async () => {
  const browser = await signIn();
  const thief = browser.tab();
  const socket = await socketOf(browser);
  await browser.post('/auth/refresh');
  await sql`update session set rotated_at = rotated_at - interval '11 seconds'`;
  expect((await thief.post('/auth/refresh')).status).toBe(401);
  expect(await closeOf(socket, 'the session is closed')).toMatchObject({ code: 3500 });
  expect(hub.lines.some((line) => line.includes('a refresh token was used twice'))).toBe(true);
});

test('a new password closes the connections of all other sessions', async () => {
  const [changing, other] = [await signIn(), await signIn()];
  const [staying, ending] = [await socketOf(changing), await socketOf(other)];
  expect((await changing.put('/auth/password', { current: admin.password, password: 'a new long password' })).status).toBe(204);
  expect(await closeOf(ending, 'the other session is closed')).toMatchObject({ code: 3500 });
  expect(staying.closed).toBeUndefined();
  expect((await changing.put('/auth/password', { current: 'a new long password', password: admin.password })).status).toBe(204);
  await staying.close();
});

test('deleting a host closes its agent for good and empties its rooms', async () => {
  const browser = await signIn();
  const { id, agent, socket } = await newHost(browser);
  const viewer = await socketOf(browser);
  for (const channel of [`host:${id}`, `room:${id}`]) expect((await viewer.call('subscribe', { channel })).error).toBeUndefined();
  expect((await socket.publish(`host:${id}`, agent.sample({ 'cpu.busy': 0.5 }))).error).toBeUndefined();
  await until(() => viewer.publications(`host:${id}`).length === 1, 'the sample is seen');

  expect((await browser.delete(`/hosts/${id}`)).status).toBe(204);
  expect(await closeOf(socket, 'the agent is closed')).toMatchObject({ code: 3507 });
  await until(() => viewer.pushes.filter((push) => push.unsubscribe).length === 2, 'the viewer is told');
  await expect(agent.connect()).rejects.toThrow('3500');
  expect((await viewer.call('subscribe', { channel: `host:${id}` })).error?.code).toBe(103);
  const left = await sql`select from sample_hot where host = ${id} union all select from publication where room = ${id}`;
  expect(left).toHaveLength(0);
  await viewer.close();
});

test('enrolling a host again closes the agent with the old key', async () => {
  const browser = await signIn();
  const { id, agent, socket } = await newHost(browser);
  const { token } = (await browser.post(`/hosts/${id}/enrolment`)).body;
  const next = await new FakeAgent(hub.url).enrol(token);
  expect(next.host).toBe(id);
  expect(await closeOf(socket, 'the old agent is closed')).toMatchObject({ code: 3507 });
  await expect(agent.connect()).rejects.toThrow('3500');
  await (await next.connect()).close();
});

test('an agent may use its own room and nothing else', async () => {
  const browser = await signIn();
  const [mine, other] = [await newHost(browser), await newHost(browser)];
  const sample = () => mine.agent.sample({ 'cpu.busy': 0.1 });
  expect((await mine.socket.publish(`host:${mine.id}`, sample())).error).toBeUndefined();
  for (const channel of [
    `host:${other.id}`,
    `room:${mine.id}`,
    `room:${other.id}`,
    `fleet:${newId()}`,
    `user:${browser.id}`,
    'host:*',
    'x',
  ])
    expect((await mine.socket.publish(channel, sample())).error?.code, channel).toBe(103);
  for (const channel of [`host:${mine.id}`, `host:${other.id}`, `room:${mine.id}`])
    for (const method of ['subscribe', 'presence', 'history'])
      expect((await mine.socket.call(method, { channel })).error?.code, `${method} ${channel}`).toBe(103);
  await mine.socket.close();
  await other.socket.close();
});

test('a room one may not see is refused like one that is not there', async () => {
  const browser = await signIn();
  const { id, socket } = await newHost(browser);
  await sql`insert into person (id, email, name, password_hash) select ${newId()}, 'nobody@example.com', 'nobody', password_hash from person limit 1`;
  const stranger = await signIn({ email: 'nobody@example.com', password: admin.password });
  const client = await socketOf(stranger);
  const [group] = (await browser.get('/groups')).body.items;
  const there = [`host:${id}`, `room:${id}`, `fleet:${group.id}`, `user:${browser.id}`];
  const nowhere = [
    `host:${newId()}`,
    `room:${newId()}`,
    `fleet:${newId()}`,
    `user:${newId()}`,
    'host:*',
    'host:',
    `host:${id} `,
    `HOST:${id}`,
    `host:${id.toUpperCase()}`,
    `rооm:${id}`,
    'room:../x',
  ];
  for (const channel of [...there, ...nowhere])
    for (const method of ['subscribe', 'presence', 'presence_stats', 'history'])
      expect((await client.call(method, { channel })).error, `${method} ${channel}`).toEqual({ code: 103, message: 'permission denied' });
  for (const channel of [...there, ...nowhere])
    expect((await client.publish(channel, { kind: 'message', text: 'x' })).error, channel).toEqual({
      code: 103,
      message: 'permission denied',
    });
  await client.close();
  await socket.close();
});

test('who is in the room is shown', async () => {
  const browser = await signIn();
  const { id, socket } = await newHost(browser);
  const isPresent = async (): Promise<boolean> =>
    (await browser.get(`/rooms/${id}/members`)).body.items.find((item: { user: { id: string } }) => item.user.id === browser.id).present;
  expect(await isPresent()).toBe(false);
  const client = await socketOf(browser);
  await client.call('subscribe', { channel: `room:${id}` });
  expect(await isPresent()).toBe(true);
  await client.close();
  await until(async () => !(await isPresent()), 'the member has left');
  await socket.close();
});

/** The status of an upgrade request with these raw headers; 101 where it is taken. */
function upgrade(headers: string[], path = '/connection/websocket'): Promise<number> {
  return new Promise((resolve, reject) => {
    const asking = request(`${hub.url}${path}`, {
      agent: false,
      headers: [
        'Host',
        `localhost:${hub.config.port}`,
        'Connection',
        'Upgrade',
        'Upgrade',
        'websocket',
        'Sec-WebSocket-Version',
        '13',
        'Sec-WebSocket-Key',
        'dGhlIHNhbXBsZSBub25jZQ==',
        ...headers,
      ],
    });
    asking.on('upgrade', (response, socket) => {
      socket.destroy();
      resolve(response.statusCode ?? 0);
    });
    asking.on('response', (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    asking.on('error', reject);
    asking.end();
  });
}

const port = hub.config.port;
test.each([
  'https://evil.example',
  'null',
  `http://localhost:${port}.evil.example`,
  `http://localhost.evil.example:${port}`,
  `https://localhost:${port}`,
  `http://localhost:${port + 1}`,
  'http://localhost',
  `http://LOCALHOST:${port}`,
  `http://localhost.:${port}`,
  `http://localhost:${port}/`,
  `http://user@localhost:${port}`,
  `http://localhost:${port}, https://evil.example`,
  '',
])('the page of origin %j may not connect', async (origin) => {
  expect(await upgrade(['Origin', origin])).toBe(403);
});

test('own pages may connect, and programs without an origin', async () => {
  for (const host of ['localhost', '127.0.0.1', '[::1]']) expect(await upgrade(['Origin', `http://${host}:${port}`])).toBe(101);
  expect(await upgrade([])).toBe(101);
  expect(await upgrade(['Origin', `http://localhost:${port}`, 'Origin', 'https://evil.example'])).toBe(403);
});

test('a token in the address does nothing, and stands in no log', async () => {
  const browser = await signIn();
  const client = await RawClient.open(`${socketUrl}?token=${browser.token}&cf_ws_frame_ping_pong=true`);
  client.ws.send(JSON.stringify({ id: 1, subscribe: { channel: `user:${browser.id}` } }));
  expect(await closeOf(client, 'a command before connect')).toMatchObject({ code: 3501 });
  await browser.get(`/me?token=${browser.token}`);
  const log = hub.lines.join('');
  expect(log.length).toBeGreaterThan(1000);
  for (const secret of [browser.token ?? '', admin.password, [...browser.cookies.values()][0] ?? ''])
    expect(log.includes(secret)).toBe(false);
});
