/** Three whole hubs on one PostgreSQL and one Redis: agents, the fleet and ended rights are the same on each of them. */

import { Centrifuge, type JoinContext, type PublicationContext } from 'centrifuge';
import { afterAll, beforeAll, expect, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { setMembership } from '../../src/data/groups.ts';
import { newId } from '../../src/lib/id.ts';
import type { Fleet } from '../../src/protocol/kinds.ts';
import { fleetRoom, hostRoom } from '../../src/protocol/rooms.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { Browser } from '../support/browser.ts';
import { FakeAgent } from '../support/fakeAgent.ts';
import { needs } from '../support/needs.ts';
import { RawClient } from '../support/rawClient.ts';
import { startRedis, type RedisProcess } from '../support/redis.ts';
import { until } from '../support/until.ts';

const account = { email: 'admin@example.com', password: 'correct horse battery' };

needs('redis').describe('three hubs on one Redis', () => {
  const { test } = needs('redis');
  let redis: RedisProcess;
  let a: TestApp;
  let b: TestApp;
  let c: TestApp;

  beforeAll(async () => {
    redis = await startRedis(afterAll);
    const environment = {
      REDIS_URL: redis.url,
      ADMIN_EMAIL: account.email,
      ADMIN_PASSWORD: account.password,
      TRUSTED_PROXIES: '127.0.0.1',
    };
    a = await startTestApp(afterAll, environment);
    const shared = { ...environment, DATABASE_URL: a.database.url };
    [b, c] = await Promise.all([startTestApp(afterAll, shared), startTestApp(afterAll, shared)]);
    await untilRedis(true);
  }, 60_000);

  /** Resolves when all hubs say so of Redis. */
  async function untilRedis(isThere: boolean): Promise<void> {
    const line = `hostroom_degraded{dependency="redis"} ${isThere ? 0 : 1}\n`;
    const says = async ({ opsUrl }: TestApp): Promise<boolean> => (await (await fetch(`${opsUrl}/metrics`)).text()).includes(line);
    await until(async () => (await Promise.all([a, b, c].map(says))).every(Boolean), `Redis is ${isThere ? 'there' : 'away'}`, 20_000);
  }

  async function signIn(app: TestApp): Promise<Browser> {
    const browser = new Browser(app.url, app.config.publicUrl, '10.0.0.1');
    await browser.signIn(account.email, account.password);
    return browser;
  }

  const socketOf = async (app: TestApp, browser: Browser): Promise<RawClient> => {
    const client = await RawClient.connect(`${app.url.replace('http', 'ws')}/connection/websocket`, browser.token ?? '');
    onTestFinished(() => client.close());
    return client;
  };

  /** The published SDK, connected to that hub. */
  async function sdkOn(app: TestApp, browser: Browser): Promise<Centrifuge> {
    const client = new Centrifuge(`${app.url.replace('http', 'ws')}/connection/websocket`, {
      websocket: WebSocket,
      token: browser.token ?? '',
    });
    onTestFinished(() => client.disconnect());
    client.connect();
    await client.ready(10_000);
    return client;
  }

  async function enrolled(browser: Browser): Promise<FakeAgent> {
    const { enrolment } = (await browser.post('/hosts', { name: `host ${newId().slice(-6)}` })).body;
    return new FakeAgent(browser.url).enrol(enrolment.token);
  }

  const connected = async (agent: FakeAgent, app: TestApp): Promise<RawClient> => {
    const client = await agent.connect(app.url);
    onTestFinished(() => client.close());
    return client;
  };

  const publish = (agent: FakeAgent, client: RawClient, cpu = 0.5) =>
    client.publish(hostRoom(agent.host), agent.sample({ 'cpu.busy': cpu }));
  const closeOf = (client: RawClient, what: string, withinMs = 2_000) => until(() => client.closed, what, withinMs);
  const events = async (host: string): Promise<string[]> =>
    (
      await a.database.sql<
        { what: string }[]
      >`select body ->> 'what' as what from message where room = ${host} and kind = 'event' order by "offset"`
    ).map(({ what }) => what);
  /** The same identity on another machine. */
  const twinOf = (agent: FakeAgent): FakeAgent => Object.assign(new FakeAgent(a.url), { key: agent.key, host: agent.host, hub: agent.hub });

  test('an agent on one replica is a member of its room on all of them, and moves without leaving', async () => {
    const browser = await signIn(a);
    const agent = await enrolled(browser);
    const viewer = await sdkOn(b, browser);
    const room = viewer.newSubscription(hostRoom(agent.host), { joinLeave: true });
    const changes: string[] = [];
    room.on('join', ({ info }: JoinContext) => changes.push(`join ${info.user}`));
    room.on('leave', ({ info }: JoinContext) => changes.push(`leave ${info.user}`));
    room.subscribe();
    await room.ready(10_000);
    const first = await connected(agent, a);
    await until(() => changes.includes(`join ${agent.host}`), 'the viewer sees the agent join');
    await until(async () => Object.values((await room.presence()).clients).some(({ user }) => user === agent.host));
    expect(await room.presenceStats()).toEqual({ numClients: 2, numUsers: 2 });
    expect(
      (await browser.get(`/rooms/${agent.host}/members`)).body.items.find((item: { user: { id: string } }) => item.user.id === browser.id)
        .present,
    ).toBe(true);

    const second = await connected(agent, c);
    expect(await closeOf(first, 'the connection on the other replica is closed')).toMatchObject({ code: 4500, reason: 'replaced' });
    await until(() => changes.filter((change) => change === `join ${agent.host}`).length === 2);
    await until(() => changes.includes(`leave ${agent.host}`));
    expect(Object.values((await room.presence()).clients).filter(({ user }) => user === agent.host)).toHaveLength(1);
    expect((await publish(agent, second)).error).toBeUndefined();
    expect(await events(agent.host)).toEqual(['host_added', 'agent_joined']);
  });

  test('of one boot the higher connection wins, wherever it is; of two boots the later announced', async () => {
    const agent = await enrolled(await signIn(a));
    const old = await connected(agent, a);
    const newer = await connected(agent, b);
    await closeOf(old, 'the older one is closed');
    // As an agent would whose connect was on its way for long.
    const late = Object.assign(twinOf(agent), { boot: agent.boot });
    await expect(late.connect(c.url)).rejects.toThrow('4500');
    expect((await publish(agent, newer)).error).toBeUndefined();

    const twins = [twinOf(agent), twinOf(agent), twinOf(agent)] as const;
    let last = newer;
    for (const [index, twin] of twins.entries()) {
      const next = await connected(twin, [c, a, b][index]!);
      expect(await closeOf(last, 'the one of another boot is closed')).toMatchObject({ code: 4500 });
      expect((await publish(twin, next)).error).toBeUndefined();
      last = next;
    }
    await until(async () => (await events(agent.host)).includes('identity_shared'), 'two agents share one identity');
    expect((await events(agent.host)).filter((what) => what !== 'host_added')).toEqual(['agent_joined', 'identity_shared']);
  });

  test('without Redis the older connection is found all the same, and nothing more is taken from it', async () => {
    const agent = await enrolled(await signIn(a));
    const old = await connected(agent, a);
    await redis.kill();
    await untilRedis(false);
    const newer = await connected(agent, b);
    expect(await closeOf(old, 'the older one is closed', 10_000)).toMatchObject({ code: 4500 });
    // The third replica knows of the samples through PostgreSQL.
    const asking = await signIn(c);
    await publish(agent, newer, 0.25);
    const shown = async (): Promise<unknown> => (await asking.get(`/hosts/${agent.host}`)).body.summary.cpu;
    await until(async () => (await shown()) === 0.25, 'the figures are known elsewhere');
    await redis.start();
    await untilRedis(true);
    expect(newer.closed).toBeUndefined();
    expect(await events(agent.host)).not.toContain('agent_left');
  });

  test('the fleet is one: each replica knows all hosts, and a viewer gets one frame for all of them', async () => {
    const browser = await signIn(a);
    const agents = await Promise.all([enrolled(browser), enrolled(browser), enrolled(browser)]);
    const clients = [await connected(agents[0], a), await connected(agents[1], b), await connected(agents[2], c)];
    const [{ id: group }] = (await browser.get('/groups')).body.items;
    const viewer = await sdkOn(c, browser);
    const frames: Fleet[] = [];
    const room = viewer.newSubscription(fleetRoom(group));
    room.on('publication', ({ data }: PublicationContext) => frames.push(data as Fleet));
    room.subscribe();
    await room.ready(10_000);
    const hosts = agents.map(({ host }) => host);
    let cpu = 0;
    const isShown = (): boolean =>
      frames.some((frame) => hosts.every((host) => frame.hosts[host]?.status === 'online' && frame.hosts[host].cpu !== null));
    await until(async () => {
      cpu = (cpu + 0.01) % 1;
      await Promise.all(agents.map((agent, index) => publish(agent, clients[index]!, cpu)));
      return isShown();
    }, 'one frame has the hosts of all replicas');
    const times = frames.map(({ at }) => at);
    for (const [index, at] of times.entries()) if (index > 0) expect(at - times[index - 1]!).toBeGreaterThan(500);

    await Promise.all(agents.map((agent, index) => publish(agent, clients[index]!, 0.75)));
    for (const app of [a, b, c]) {
      const asking = await signIn(app);
      const figures = async (): Promise<unknown[]> =>
        Promise.all(
          hosts.map(async (host) => {
            const { status, summary, recentCpu } = (await asking.get(`/hosts/${host}`)).body;
            return [status, summary.cpu, recentCpu?.values.at(-1)];
          }),
        );
      await until(
        async () => JSON.stringify(await figures()) === JSON.stringify(hosts.map(() => ['online', 0.75, 0.75])),
        'REST tells of all hosts',
      );
      const entered = await (await socketOf(app, asking)).call('subscribe', { channel: fleetRoom(group) });
      for (const host of hosts) expect(entered.subscribe.data.hosts[host]).toMatchObject({ status: 'online', cpu: 0.75 });
    }
  });

  test('a session that ends on one replica is closed on another', async () => {
    const [browser, other] = [await signIn(a), await signIn(b)];
    const [ending, staying] = [await socketOf(b, browser), await socketOf(c, other)];
    await browser.post('/auth/logout');
    expect(await closeOf(ending, 'the session is closed')).toMatchObject({ code: 3500 });
    await expect(socketOf(c, browser)).rejects.toThrow('3500');
    expect(staying.closed).toBeUndefined();
  });

  test('who gives themselves another name on one replica is called so on another at once', async () => {
    const browser = await signIn(a);
    const agent = await enrolled(browser);
    const [talking, reading] = [await socketOf(b, browser), await socketOf(c, browser)];
    const channel = `room:${agent.host}`;
    for (const client of [talking, reading]) expect((await client.call('subscribe', { channel })).error).toBeUndefined();
    const { name: before } = (await browser.get('/me')).body;
    for (const name of ['Ada', before]) {
      expect((await browser.patch('/me', { name })).body.name).toBe(name);
      const said = (client: RawClient): unknown => {
        const message = client.publications(channel).findLast(({ kind }) => kind === 'message');
        return (message?.author as { name: string } | undefined)?.name;
      };
      await until(async () => {
        await talking.call('publish', { channel, data: { kind: 'message', text: 'it is me', key: newId() } });
        return [reading, talking].every((client) => said(client) === name);
      }, `is called ${name}`);
      const { presence } = await talking.call('presence', { channel });
      const names = Object.values<{ user: string; conn_info: unknown }>(presence.presence);
      expect(names.filter(({ user }) => user === browser.id).map((info) => info.conn_info)).toContainEqual({ kind: 'user', name });
    }
  });

  test('a host that is deleted on one replica is gone on all', async () => {
    const browser = await signIn(a);
    const agent = await enrolled(browser);
    const client = await connected(agent, b);
    await publish(agent, client);
    const viewer = await socketOf(c, browser);
    for (const channel of [`host:${agent.host}`, `room:${agent.host}`])
      expect((await viewer.call('subscribe', { channel })).error).toBeUndefined();
    expect((await browser.delete(`/hosts/${agent.host}`)).status).toBe(204);
    expect(await closeOf(client, 'the agent is closed')).toMatchObject({ code: 3507 });
    await until(() => viewer.pushes.filter((push) => push.unsubscribe).length === 2, 'the viewer is told', 2_000);
    for (const app of [a, b, c]) await expect(agent.connect(app.url)).rejects.toThrow('3500');
    expect((await viewer.call('subscribe', { channel: `host:${agent.host}` })).error?.code).toBe(103);
  });

  test('an agent whose key was replaced on one replica is closed on another, and the new one may come anywhere', async () => {
    const browser = await signIn(a);
    const agent = await enrolled(browser);
    const client = await connected(agent, b);
    const { token } = (await browser.post(`/hosts/${agent.host}/enrolment`)).body;
    const next = await new FakeAgent(c.url).enrol(token);
    const nextClient = await connected(next, b);
    expect(await closeOf(client, 'the old agent is closed')).toBeDefined();
    await expect(agent.connect(a.url)).rejects.toThrow('3500');
    expect((await publish(next, nextClient)).error).toBeUndefined();
    expect(nextClient.closed).toBeUndefined();
  });

  test('what a lost notice did not tell is found when the token is renewed', async () => {
    const browser = await signIn(a);
    const { sql } = a.database;
    const person = newId();
    await sql`insert into person (id, email, name, password_hash) select ${person}, ${`${person}@example.com`}, 'Bo', password_hash from person where password_hash is not null limit 1`;
    const [{ id: group }] = (await browser.get('/groups')).body.items;
    await setMembership(sql, group, person, 'viewer');
    const viewer = new Browser(b.url, b.config.publicUrl, '10.0.0.2');
    await viewer.signIn(`${person}@example.com`, account.password);
    const client = await socketOf(b, viewer);
    expect((await client.call('subscribe', { channel: fleetRoom(group) })).error).toBeUndefined();
    await sql`delete from membership where person = ${person}`;
    await viewer.post('/auth/refresh').then(({ body }) => (viewer.token = body.accessToken));
    expect((await client.call('refresh', { token: viewer.token })).error).toBeUndefined();
    await until(() => client.pushes.some((push) => push.unsubscribe), 'the room is left', 2_000);
  });
});
