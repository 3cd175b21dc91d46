/** Two whole hubs on one PostgreSQL and one Redis: whoever changes replica, and whatever becomes of Redis, misses nothing and sees nothing twice. */

import { Centrifuge, type PublicationContext, type Subscription, SubscriptionState } from 'centrifuge';
import { afterAll, beforeAll, expect, onTestFinished } from 'vitest';
import type { ClientOptions } from 'ws';
import { newId } from '../../src/lib/id.ts';
import { conversationRoom, hostRoom } from '../../src/protocol/rooms.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { BrowserSocket } from '../support/browserSocket.ts';
import { FakeAgent } from '../support/fakeAgent.ts';
import { needs } from '../support/needs.ts';
import type { RawClient } from '../support/rawClient.ts';
import { startRedis, type RedisProcess } from '../support/redis.ts';
import { until } from '../support/until.ts';

needs('redis').describe('two hubs on one Redis', () => {
  const { test } = needs('redis');
  let redis: RedisProcess;
  let a: TestApp;
  let b: TestApp;
  let admin: Awaited<ReturnType<TestApp['signIn']>>;

  const closers: (() => Promise<void>)[] = [];
  const whenDone = (close: () => Promise<void>): void => void closers.push(close);
  afterAll(async () => {
    for (let close = closers.pop(); close; close = closers.pop()) await close();
  });
  beforeAll(async () => {
    redis = await startRedis(whenDone);
    a = await startTestApp(whenDone, { REDIS_URL: redis.url });
    b = await startTestApp(whenDone, { REDIS_URL: redis.url, DATABASE_URL: a.database.url });
    admin = await a.signIn();
    await untilRedis(true);
  }, 60_000);

  /** Resolves when both hubs say so of Redis. */
  async function untilRedis(isThere: boolean): Promise<void> {
    const line = `hostroom_degraded{dependency="redis"} ${isThere ? 0 : 1}\n`;
    const says = async ({ opsUrl }: TestApp): Promise<boolean> => (await (await fetch(`${opsUrl}/metrics`)).text()).includes(line);
    await until(async () => (await says(a)) && (await says(b)), `Redis is ${isThere ? 'there' : 'away'} for both`, 20_000);
  }

  /** The sum of a counter over both hubs. */
  async function counted(name: string): Promise<number> {
    const pages = await Promise.all([a, b].map(async ({ opsUrl }) => (await fetch(`${opsUrl}/metrics`)).text()));
    return pages
      .flatMap((page) => page.split('\n').filter((line) => line.startsWith(name)))
      .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  }

  interface Agent {
    host: string;
    agent: FakeAgent;
    client: RawClient;
    /** Publishes the next one; resolves with it when it is committed. */
    publish(metrics?: Record<string, number>): Promise<object>;
  }

  async function agentOn(app: TestApp): Promise<Agent> {
    const created = await admin.call('POST', '/hosts', { name: `web-${newId().slice(-6)}` });
    const { enrolment } = (await created.json()) as { enrolment: { token: string } };
    const agent = await new FakeAgent(app.url).enrol(enrolment.token);
    const client = await agent.connect();
    onTestFinished(() => client.close());
    const publish = async (metrics = { 'cpu.busy': 0.5 } as Record<string, number>): Promise<object> => {
      const sample = agent.sample(metrics);
      expect((await client.publish(hostRoom(agent.host), sample)).error).toBeUndefined();
      return sample;
    };
    return { host: agent.host, agent, client, publish };
  }

  interface Page {
    live: Subscription;
    talk: Subscription;
    seen: Record<'live' | 'talk', number[]>;
    /** What became of each subscribing after the first: recovered or not. */
    returns: boolean[];
    /** Connects to another replica from now on. */
    moveTo(app: TestApp): void;
    disconnect(): Promise<void>;
    connect(): Promise<void>;
  }

  /** The page of a host, in both of its rooms, with the published client. */
  async function pageOn(app: TestApp, host: string): Promise<Page> {
    let url = socketOf(app);
    const socket = class extends BrowserSocket {
      constructor(_: string | URL, protocols?: string | string[], options?: ClientOptions) {
        super(url, protocols, options);
      }
    };
    const client = new Centrifuge(url, { websocket: socket, token: admin.accessToken, minReconnectDelay: 10, maxReconnectDelay: 100 });
    onTestFinished(() => client.disconnect());
    const seen: Page['seen'] = { live: [], talk: [] };
    const returns: boolean[] = [];
    const join = (room: string, into: number[]): Subscription => {
      const subscription = client.newSubscription(room, { minResubscribeDelay: 10, maxResubscribeDelay: 100 });
      subscription.on('publication', ({ offset = 0 }: PublicationContext) => void into.push(offset));
      subscription.on('subscribed', ({ wasRecovering, recovered }) => void (wasRecovering && returns.push(recovered)));
      subscription.subscribe();
      return subscription;
    };
    const [live, talk] = [join(hostRoom(host), seen.live), join(conversationRoom(host), seen.talk)];
    const ready = async (): Promise<void> => {
      client.connect();
      await until(() => [live, talk].every(({ state }) => state === SubscriptionState.Subscribed), 'both rooms are joined');
    };
    await ready();
    return {
      live,
      talk,
      seen,
      returns,
      moveTo: (other) => void (url = socketOf(other)),
      disconnect: async () => {
        client.disconnect();
        await until(() => client.state === 'disconnected');
      },
      connect: ready,
    };
  }

  const socketOf = (app: TestApp): string => `${app.url.replace('http', 'ws')}/connection/websocket`;
  const upTo = (last: number, from = 1): number[] => Array.from({ length: last - from + 1 }, (_, at) => from + at);
  const post = async (host: string, text: string, app = a): Promise<string> => {
    const answer = await fetch(`${app.url}/api/v1/rooms/${host}/messages`, {
      method: 'POST',
      headers: { authorization: `Bearer ${admin.accessToken}`, 'content-type': 'application/json' },
      body: JSON.stringify({ text, key: newId() }),
    });
    expect(answer.status).toBe(201);
    return ((await answer.json()) as { id: string }).id;
  };
  /** A page counts the conversation from where it was when it came. */
  const talkFrom = (page: Page): number => page.seen.talk[0]!;

  test('a page that comes back on the other replica gets exactly what it missed, in both rooms', async () => {
    const { host, publish } = await agentOn(a);
    const page = await pageOn(a, host);
    await publish();
    await post(host, 'one');
    await until(() => page.seen.live.length === 1 && page.seen.talk.length > 0);
    const before = page.seen.talk.length;
    await page.disconnect();
    for (let n = 0; n < 20; n++) await publish();
    for (let n = 0; n < 5; n++) await post(host, `missed ${n}`, n % 2 ? a : b);
    page.moveTo(b);
    await page.connect();
    await publish();
    await post(host, 'live', b);
    await until(() => page.seen.live.length === 22 && page.seen.talk.length === before + 6);
    expect(page.seen.live).toEqual(upTo(22));
    expect(page.seen.talk).toEqual(upTo(talkFrom(page) + page.seen.talk.length - 1, talkFrom(page)));
    expect(page.returns).toEqual([true, true]);
  });

  test('one that missed more than can be recovered is told so, with the newest state', async () => {
    const { host, publish } = await agentOn(a);
    const page = await pageOn(a, host);
    await publish();
    await until(() => page.seen.live.length === 1);
    await page.disconnect();
    const large = Object.fromEntries(Array.from({ length: 1_800 }, (_, n) => [`a.rather.long.name.${n}`, n]));
    for (let n = 0; n < 6; n++) await publish(large);
    page.moveTo(b);
    const state = new Promise<unknown>((resolve) => page.live.once('subscribed', ({ data }) => resolve(data)));
    await page.connect();
    expect(await state).toMatchObject({ sample: { seq: 7 } });
    expect(page.returns).toEqual(expect.arrayContaining([false]));
    await publish();
    await until(() => page.seen.live.at(-1) === 8);
    expect(page.seen.live).toEqual([1, 8]);
  });

  test('a deleted text is gone from what the other replica keeps, too', async () => {
    const { host } = await agentOn(a);
    const page = await pageOn(b, host);
    const id = await post(host, 'a secret');
    await until(() => page.seen.talk.length > 0);
    const texts = async (): Promise<string> => JSON.stringify((await page.talk.history({ limit: 300 })).publications);
    expect(await texts()).toContain('a secret');
    expect((await admin.call('DELETE', `/rooms/${host}/messages/${id}`)).status).toBeLessThan(300);
    const before = page.seen.talk.length;
    await until(() => page.seen.talk.length > before);
    const after = await texts();
    expect(after).toContain(id);
    expect(after).not.toContain('a secret');
  });

  test('an agent that moves to the other replica goes on in the same epoch; what it sends again is answered and seen once', async () => {
    const { host, agent, client } = await agentOn(a);
    const pages = await Promise.all([pageOn(a, host), pageOn(b, host)]);
    const first = Array.from({ length: 5 }, () => agent.sample({ n: 1 }));
    for (const sample of first) await client.publish(hostRoom(host), sample);
    const moved = await agent.connect(b.url);
    onTestFinished(() => moved.close());
    await until(() => client.closed);
    // As an agent does that lost the last replies.
    for (const sample of first.slice(-3)) expect(await moved.publish(hostRoom(host), sample)).toHaveProperty('publish');
    for (let n = 0; n < 5; n++) expect(await moved.publish(hostRoom(host), agent.sample({ n: 2 }))).toHaveProperty('publish');
    await until(() => pages.every(({ seen }) => seen.live.length === 10));
    for (const { seen, returns } of pages) expect([seen.live, returns]).toEqual([upTo(10), []]);
    const [{ count }] = await a.database.sql<[{ count: number }]>`
      select count(*)::int as count from sample_hot where host = ${host} and kind = 'sample'`;
    expect(count).toBe(10);
  });

  test('Redis is killed and comes back empty under traffic: nobody misses anything, the other replica goes on meanwhile', async () => {
    const { host, publish } = await agentOn(a);
    const pages = await Promise.all([pageOn(a, host), pageOn(b, host)]);
    const [home, away] = pages;
    let sent = 0;
    const step = async (): Promise<void> => {
      await publish();
      await post(host, `message ${++sent}`, sent % 2 ? a : b);
    };
    for (let n = 0; n < 3; n++) await step();
    await redis.kill();
    for (let n = 0; n < 3; n++) await step();
    await untilRedis(false);
    const saw = away.seen.live.length;
    for (let n = 0; n < 3; n++) await step();
    await until(() => away.seen.live.length === 9, 'the other replica reads PostgreSQL');
    expect(saw).toBeLessThanOrEqual(9);
    await redis.start();
    for (let n = 0; n < 3; n++) await step();
    await untilRedis(true);
    for (let n = 0; n < 3; n++) await step();
    await until(() => pages.every(({ seen }) => seen.live.length === 15 && seen.talk.length >= 15), 'everyone has everything');
    for (const { seen, returns } of [home, away]) {
      expect(seen.live).toEqual(upTo(15));
      expect(seen.talk).toEqual(upTo(seen.talk[0]! + seen.talk.length - 1, seen.talk[0]));
      expect(returns).toEqual([]);
    }
    // The agent's replica has filled the cache anew, with what was published meanwhile.
    const keys = (await redis.call('keys', `*kept:${hostRoom(host)}`)) as string[];
    await until(async () => Number(await redis.call('llen', keys[0]!)) >= 15);
  }, 60_000);

  test('records that Redis drops because a subscriber reads too slowly are repaired within seconds', async () => {
    const { host, publish } = await agentOn(a);
    const page = await pageOn(b, host);
    await publish();
    await until(() => page.seen.live.length === 1);
    const talked = page.seen.talk.length;
    await redis.call('config', 'set', 'client-output-buffer-limit', 'pubsub 65536 65536 0');
    onTestFinished(async () => void (await redis.call('config', 'set', 'client-output-buffer-limit', 'pubsub 33554432 8388608 60')));
    const cut = 'hostroom_dropped_total{what="relay_subscription"}';
    const [cuts, caughtUp] = [await counted(cut), await counted('hostroom_caught_up_total')];
    const large = Object.fromEntries(Array.from({ length: 600 }, (_, n) => [`a.name.${n}`, n]));
    for (let round = 1; round <= 3; round++) {
      // One batch, more than Redis may hold for a subscriber; the talk goes right behind it.
      await Promise.all([...Array.from({ length: 12 }, () => publish(large)), post(host, `round ${round}`)]);
      const isWhole = (): boolean => page.seen.live.length === 1 + 12 * round && page.seen.talk.length === talked + round;
      await until(isWhole, 'everything is there');
    }
    expect(page.seen.live).toEqual(upTo(37));
    expect(page.seen.talk).toEqual(upTo(talkFrom(page) + page.seen.talk.length - 1, talkFrom(page)));
    expect(page.returns).toEqual([]);
    expect(await counted(cut)).toBeGreaterThan(cuts);
    expect(await counted('hostroom_caught_up_total')).toBeGreaterThan(caughtUp);
  }, 60_000);
});
