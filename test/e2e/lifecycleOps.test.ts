/** What those who run the hub see over its life: readiness, metrics, order of the stop, logs without secrets. */

import { spawnSync } from 'node:child_process';
import { readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { Centrifuge } from 'centrifuge';
import { expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import { startTestApp } from '../support/app.ts';
import { FakeAgent } from '../support/fakeAgent.ts';
import { agentIn, makeRunFolder, postmasterIn, run, type Hostroom } from '../support/hostroom.ts';
import { needs } from '../support/needs.ts';
import { signInBy } from '../support/signedIn.ts';
import { until } from '../support/until.ts';

/** Status and text; `down` while nobody listens. */
async function ask(hub: Hostroom, path: string): Promise<string> {
  try {
    const answer = await fetch(`${hub.opsUrl}${path}`);
    return `${answer.status} ${(await answer.text()).trim()}`;
  } catch (error) {
    if (error instanceof TypeError) return 'down';
    throw error;
  }
}

const degraded = async (hub: Hostroom): Promise<string | undefined> =>
  /^hostroom_degraded\{dependency="postgresql"\} (\d)$/m.exec(await ask(hub, '/metrics'))?.[1];

function connect(url: string, token: string): { client: Centrifuge; closes: number[] } {
  const client = new Centrifuge(`${url.replace('http', 'ws')}/connection/websocket`, { websocket: WebSocket, token });
  onTestFinished(() => client.disconnect());
  const closes: number[] = [];
  // A close below 3500 is to be followed by a reconnect: the SDK then is "connecting", for the reason it was given.
  client.on('connecting', ({ code }) => closes.push(code));
  client.on('disconnected', ({ code }) => closes.push(code));
  client.connect();
  return { client, closes };
}

test('readiness and metrics at the start, in between, without PostgreSQL, at the stop', { timeout: 120_000 }, async () => {
  const folder = makeRunFolder(onTestFinished);
  const hub = await run(folder, { program: 'start' });
  await until(async () => (await ask(hub, '/healthz')) === '200 ok', 'it lives', 60_000);
  // The database is not made yet.
  const early = [await ask(hub, '/readyz'), await ask(hub, '/metrics')];
  expect(early[0]).toBe('503 starting');
  expect(early[1]).toMatch(/^200 [^]*hostroom_connections\{kind="agent"\} 0/);
  await hub.ready();
  expect(await ask(hub, '/readyz')).toBe('200 ready');
  expect(await degraded(hub)).toBe('0');

  const person = await signInBy(await until(() => hub.link(), 'a link'), hub.url);
  const host = await until(async () => (await person.hosts())[0], 'the agent has enrolled');
  await until(async () => (await person.samples(host.id)).length > 0, 'samples', 30_000);
  // Without this file it cannot come back.
  const control = join(folder, 'postgres/cluster/global/pg_control');
  renameSync(control, `${control}.aside`);
  process.kill(postmasterIn(folder)!, 'SIGKILL');
  await until(async () => (await degraded(hub)) === '1', 'it is told');
  expect(await ask(hub, '/readyz')).toBe('200 ready');
  expect(await ask(hub, '/healthz')).toBe('200 ok');
  renameSync(`${control}.aside`, control);
  await until(async () => (await degraded(hub)) === '0', 'it is over', 30_000);
  const before = (await person.samples(host.id)).length;
  await until(async () => (await person.samples(host.id)).length > before, 'samples again', 30_000);
  expect(await ask(hub, '/metrics')).toMatch(/hostroom_connections\{kind="agent"\} 1/);

  // The stop is held open by a server that does not react.
  const server = postmasterIn(folder)!;
  process.kill(server, 'SIGSTOP');
  hub.child.kill('SIGTERM');
  await until(async () => (await ask(hub, '/readyz')) === '503 draining', 'it drains');
  expect(await ask(hub, '/healthz')).toBe('200 ok');
  process.kill(server, 'SIGCONT');
  expect((await hub.ended).code).toBe(0);
});

test('a stop tells clients "shutdown" and commits what came before', { timeout: 90_000 }, async () => {
  const folder = makeRunFolder(onTestFinished);
  const hub = await run(folder);
  await hub.ready();
  const person = await signInBy(await until(() => hub.link(), 'a link'), hub.url);
  const created = (await (await person.call('POST', '/hosts', { name: 'box' })).json()) as { id: string; enrolment: { token: string } };
  const agent = await new FakeAgent(hub.url).enrol(created.enrolment.token);
  const link = await agent.connect();
  const { client, closes } = connect(hub.url, person.accessToken);
  await client.ready();
  const room = client.newSubscription(`host:${created.id}`);
  const seen: number[] = [];
  room.on('publication', ({ data }: { data: { seq: number } }) => void seen.push(data.seq));
  room.subscribe();
  await room.ready();
  const acknowledged: number[] = [];
  for (let seq = 1; seq <= 200; seq++) {
    const sample = agent.sample({ 'cpu.busy': 0.5 }, Date.now() + seq);
    link.publish(`host:${created.id}`, sample).then(
      (reply) => void (reply.error ?? acknowledged.push(seq)),
      () => undefined,
    );
  }
  await until(() => seen.length === 200, 'all are shown');
  hub.child.kill('SIGTERM');
  expect((await hub.ended).code).toBe(0);
  await until(() => closes.includes(3001), `close 3001 among ${closes.join()}`);
  const next = await run(folder);
  await next.ready();
  const again = await signInBy(await until(() => next.link(), 'a link'), next.url);
  const stored = (await again.samples(created.id)).map(({ seq }) => seq);
  // Shown means taken in, and what was taken in is committed before the end.
  expect(stored).toEqual(Array.from({ length: 200 }, (_, index) => index + 1));
  expect(acknowledged.filter((seq) => !stored.includes(seq))).toEqual([]);
});

needs('promtool').test('promtool finds nothing on a running hub with an agent', async () => {
  const hub = await startTestApp(onTestFinished);
  await hub.startAgent();
  await until(async () => (await (await fetch(`${hub.opsUrl}/metrics`)).text()).includes('hostroom_host_cpu_busy'), 'figures of the host');
  const input = await (await fetch(`${hub.opsUrl}/metrics`)).text();
  const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input, encoding: 'utf8' });
  expect({ status, found: stdout + stderr }).toEqual({ status: 0, found: '' });
});

test('close() leaves no timer, socket or file open', { timeout: 120_000 }, async () => {
  const count = (): Record<string, number> => {
    const counts: Record<string, number> = {};
    for (const name of process.getActiveResourcesInfo()) counts[name] = (counts[name] ?? 0) + 1;
    return counts;
  };
  const round = async (): Promise<void> => {
    const closers: (() => Promise<void> | void)[] = [];
    const hub = await startTestApp((close) => closers.push(close));
    await hub.startAgent();
    const { accessToken, call } = await hub.signIn();
    const { client } = connect(hub.url, accessToken);
    await client.ready();
    await until(async () => /"online"/.test(await (await call('GET', '/hosts')).text()), 'the host is online');
    client.disconnect();
    for (const close of closers.toReversed()) await close();
  };
  // The first opens what stays for the whole process, such as fetch's own pool.
  await round();
  const base = count();
  await round();
  await until(
    () => {
      const now = count();
      return Object.entries(now).every(([name, n]) => n <= (base[name] ?? 0));
    },
    `back to ${JSON.stringify(base)}`,
  ).catch((error: Error) => {
    throw new Error(`${error.message}; now ${JSON.stringify(count())}`);
  });
});

test('no secret is logged over a whole run', { timeout: 120_000 }, async () => {
  const folder = makeRunFolder(onTestFinished);
  const hub = await run(folder, { program: 'start', environment: { LOG_LEVEL: 'trace' } });
  await hub.ready();
  const link = await until(() => hub.link(), 'a link');
  const person = await signInBy(link, hub.url);
  const password = 'correct horse battery staple';
  expect((await person.call('PUT', '/auth/password', { password })).status).toBeLessThan(300);
  const email = ((await (await person.call('GET', '/me')).json()) as { email: string }).email;
  const post = (path: string, body: object): Promise<Response> =>
    fetch(`${hub.url}/api/v1${path}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  expect((await post('/auth/login', { login: email, password: 'wrong-password-1' })).status).toBe(401);
  const signedIn = await post('/auth/login', { login: email, password });
  const { accessToken } = (await signedIn.json()) as { accessToken: string };
  const refreshToken = /=([^;]+)/.exec(signedIn.headers.getSetCookie()[0]!)![1]!;
  const created = (await (
    await fetch(`${hub.url}/api/v1/hosts`, {
      method: 'POST',
      headers: { authorization: `Bearer ${accessToken}`, 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'box' }),
    })
  ).json()) as { enrolment: { token: string } };
  const agent = await new FakeAgent(hub.url).enrol(created.enrolment.token);
  const token = await agent.token();
  await (await agent.connect()).close();
  const { client } = connect(hub.url, accessToken);
  await client.ready();
  // As someone might who knows no better, and as an attacker would.
  await fetch(`${hub.url}/api/v1/hosts?token=${accessToken}&access_token=${accessToken}`);
  await fetch(`${hub.url}/connection/websocket?token=${accessToken}`);
  await post('/auth/login', { login: email, password: { nested: password } });
  await until(() => agentIn(folder) !== undefined, 'the local agent runs');
  process.kill(postmasterIn(folder)!, 'SIGKILL');
  await until(() => hub.output().includes('PostgreSQL runs again'), 'PostgreSQL is back', 30_000);
  hub.signal('SIGTERM');
  await hub.ended;
  // The link is printed once, for the person; in the log it is nowhere.
  const log = hub.output().replace(`Sign in once within 24 hours: ${link}`, '');
  const secrets = {
    'sign-in token': link.split('#')[1]!,
    'access token': accessToken,
    'first access token': person.accessToken,
    'refresh token': refreshToken,
    'first refresh token': person.refreshToken,
    password,
    'wrong password': 'wrong-password-1',
    'enrolment token': created.enrolment.token,
    "agent's token": token.split('.')[2]!,
    'database password': readFileSync(join(folder, 'postgres/password'), 'utf8').trim(),
  };
  expect(log.length).toBeGreaterThan(1_000);
  for (const [name, secret] of Object.entries(secrets))
    expect({ name, known: secret.length > 7, logged: log.includes(secret) }).toEqual({ name, known: true, logged: false });
});
