/** Limits that replicas share through a real Redis, and what holds while it is away. */

import { expect, onTestFinished, test } from 'vitest';
import { createLoginLimits } from '../../src/auth/loginLimits.ts';
import { createTries } from '../../src/auth/tries.ts';
import { newId } from '../../src/lib/id.ts';
import { parseRedisAddress } from '../../src/lib/redisAddress.ts';
import { RedisLink } from '../../src/relay/redisLink.ts';
import { SharedSeats } from '../../src/relay/sharedSeats.ts';
import { SharedTries } from '../../src/relay/sharedTries.ts';
import { needs } from '../support/needs.ts';
import { raw, serve, token, type Raw } from '../support/protocol.ts';
import { onEachRedis } from '../support/onEachRedis.ts';
import { startRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import type { ConformanceServer } from '../../src/conformance/server.ts';

interface Replica {
  link: RedisLink;
  seats: SharedSeats;
  tries: SharedTries;
}

const failures: unknown[] = [];
const failed = (error: unknown): void => void failures.push(error);

/** Replicas of one hub that know of each other. */
async function startReplicas(url: string, count: number, answerMs = 2_000): Promise<Replica[]> {
  const hub = newId();
  const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
  const replicas = Array.from({ length: count }, () => {
    const replica = newId();
    const link = new RedisLink({ address: parseRedisAddress(url)!, hub, replica, log, canary: { everyMs: 50, silentMs: 1_000 } });
    const times = { ttlMs: 1_000, refreshMs: 100, answerMs };
    const seats = new SharedSeats({ link, replica, failed, times });
    seats.start();
    onTestFinished(async () => {
      await seats.close();
      await link.close();
    });
    return { link, seats, tries: new SharedTries({ link, failed }) };
  });
  await until(() => replicas.every(({ link }) => !link.isAway), 'all are linked');
  // Twice: first each says that it is there, then each hears of the others.
  for (let round = 0; round < 2; round++) await Promise.all(replicas.map(({ seats }) => seats.refresh()));
  return replicas;
}

const seat = (key: string, most: number) => [{ key, most }];
const count = async (answers: Promise<boolean>[]): Promise<number> => (await Promise.all(answers)).filter(Boolean).length;

onEachRedis('seats and tries', (started) => {
  test('what is taken on one replica is taken on all, whoever is first', async () => {
    const replicas = await startReplicas((await started()).url, 3);
    const [a, b, c] = replicas as [Replica, Replica, Replica];
    const all = Array.from({ length: 60 }, (_, n) => replicas[n % 3]!.seats.take(seat('user 1', 20)));
    expect(await count(all)).toBe(20);
    expect(await a.seats.take([...seat('user 2', 20), ...seat('user 1', 20)])).toBe(false);
    expect(await count([a, b, c].map(({ seats }) => seats.take(seat('user 2', 1))))).toBe(1);
    b.seats.leave(['user 1']);
    await until(() => c.seats.take(seat('user 1', 20)), 'the seat is free for others');

    const tries = replicas.map(({ tries: shared }) => createTries({ name: 'guess', tries: 5, perMs: 3_600_000 }, { shared }));
    expect(await count(Array.from({ length: 12 }, (_, n) => tries[n % 3]!.take('someone@example.org')))).toBe(5);
    tries[0]!.giveBack('someone@example.org');
    await until(() => tries[1]!.take('someone@example.org'), 'the try is there for others');
    expect(await tries[2]!.take('another@example.org')).toBe(true);
  });

  test('what stands under their names and is no count makes room', async () => {
    const [a, b] = (await startReplicas((await started()).url, 2)) as [Replica, Replica];
    const { link } = a;
    const replicas = link.key('seats', 'replicas');
    for (const key of [replicas, ...(await link.commands.zrange(replicas, '0', '-1')).map((id) => link.key('seats', id))])
      await link.commands.set(key, 'no count');
    // Nobody is kept out meanwhile.
    expect(await a.seats.take(seat('user 1', 2))).toBe(true);
    expect(await b.seats.take(seat('user 1', 2))).toBe(true);
    await until(async () => {
      const isTaken = await a.seats.take(seat('user 1', 2));
      if (isTaken) a.seats.leave(['user 1']);
      return !isTaken;
    }, 'both seats are known again');
  });
});

needs('redis').test('the seats of a replica that died are free soon, those of a living one stay', async () => {
  const redis = await startRedis(onTestFinished);
  const [a, b] = (await startReplicas(redis.url, 2)) as [Replica, Replica];
  expect(await a.seats.take(seat('user 1', 2))).toBe(true);
  expect(await b.seats.take(seat('user 1', 2))).toBe(true);
  expect(await b.seats.take(seat('user 1', 2))).toBe(false);
  await a.link.close();
  await until(() => b.seats.take(seat('user 1', 2)), 'the seat is free');
  expect(await b.seats.take(seat('user 1', 2))).toBe(false);
});

needs('redis').test('while Redis is away each replica keeps its own limits; back and empty, it is told what was taken', async () => {
  const redis = await startRedis(onTestFinished);
  const [a, b] = (await startReplicas(redis.url, 2)) as [Replica, Replica];
  expect(await a.seats.take(seat('user 1', 3))).toBe(true);
  const limits = [a, b].map(({ tries: shared }) => createLoginLimits({ shared }));
  const login = (n: number): Promise<boolean> =>
    limits[n]!.take('ada@example.org', '192.0.2.1').then(
      () => true,
      () => false,
    );
  expect(await count([login(0), login(0), login(1), login(0)])).toBe(4);
  expect(await count([login(1), login(1)])).toBe(1);

  await redis.kill();
  await until(() => a.link.isAway && b.link.isAway, 'both notice');
  expect(await a.seats.take(seat('user 1', 3))).toBe(true);
  // What b has seen fail: three tries of five.
  expect(await count([login(1), login(1), login(1), login(1)])).toBe(2);

  await redis.start();
  await until(() => !a.link.isAway && !b.link.isAway, 'both are back');
  await until(async () => (await takenOn(a, 'user 1')) === 2, 'Redis knows the seats again');
  // Each hears of the other anew.
  await b.seats.refresh();
  expect(await b.seats.take(seat('user 1', 3))).toBe(true);
  expect(await b.seats.take(seat('user 1', 3))).toBe(false);
});

needs('redis').test('a Redis that answers nothing keeps nobody out, and knows all seats once it answers again', async () => {
  const redis = await startRedis(onTestFinished);
  const [a, b] = (await startReplicas(redis.url, 2, 100)) as [Replica, Replica];
  redis.freeze();
  onTestFinished(() => redis.thaw());
  const [first, second] = [await a.seats.take(seat('user 1', 2)), await a.seats.take(seat('user 1', 2))];
  expect([first, second]).toEqual([true, true]);
  redis.thaw();
  await until(async () => (await takenOn(a, 'user 1')) === 2, 'both seats are known');
  await b.seats.refresh();
  expect(await b.seats.take(seat('user 1', 2))).toBe(false);
});

needs('redis').test(
  'an account that many addresses guess at is slowed down on all replicas, and a right password costs nothing',
  async () => {
    const redis = await startRedis(onTestFinished);
    const [a, b] = (await startReplicas(redis.url, 2)) as [Replica, Replica];
    const waits: number[] = [];
    const pause = async (ms: number): Promise<void> => void waits.push(ms);
    const first = createLoginLimits({ shared: a.tries });
    const second = createLoginLimits({ shared: b.tries, pause });
    for (let n = 0; n < 99; n++) await first.take('Ada@example.org', `198.51.100.${n}`);
    await second.take('ada@example.org', '203.0.113.1');
    second.giveBack('ada@example.org', '203.0.113.1');
    expect(waits).toEqual([]);
    for (let n = 0; n < 3; n++) await first.take('ada@example.org', `198.51.100.${100 + n}`);
    await second.take('ada@example.org', '203.0.113.2');
    expect(waits).toHaveLength(1);
    expect(waits[0]).toBeGreaterThan(0);
    const keys = (await redis.call('keys', '*')) as string[];
    expect(keys.filter((key) => key.includes('ada') || key.includes('203.0.113'))).toEqual([]);
  },
);

needs('redis').test('a person has so many connections over all replicas, and one that ends makes room', async () => {
  const redis = await startRedis(onTestFinished);
  const replicas = await startReplicas(redis.url, 2);
  const limits = { subscriptions: 10, connectionsPerUser: 3, connectionsPerAddress: 100, handshakes: 1_000 };
  const counted: string[] = [];
  const metrics = { received: () => undefined, error: () => undefined, dropped: (what: string) => void counted.push(what) };
  const servers = await Promise.all(replicas.map(({ seats }) => serve({ gateway: { limits, elsewhere: seats, metrics } })));
  const ada = await token({ sub: 'ada' });
  const come = async (server: ConformanceServer): Promise<Raw> => {
    const client = await raw(server.webSocketUrl);
    client.send({ id: 1, connect: { token: ada } });
    return client;
  };
  const [first, second, third] = [await come(servers[0]!), await come(servers[1]!), await come(servers[0]!)];
  for (const client of [first, second, third]) expect((await client.reply(1)).connect).toBeDefined();
  const tooMany = await come(servers[1]!);
  expect((await tooMany.closed).code).toBe(3504);
  expect(counted).toEqual(['connection']);
  first.ws.terminate();
  await until(async () => {
    const client = await come(servers[1]!);
    return Promise.race([client.reply(1).then(() => true), client.closed.then(() => false)]);
  }, 'there is room again');
});

/** What Redis has of all replicas; NaN while it does not answer. */
async function takenOn({ link }: Replica, key: string): Promise<number> {
  try {
    const replicas = await link.commands.zrange(link.key('seats', 'replicas'), '0', '-1');
    const counts = await Promise.all(replicas.map((replica) => link.commands.hget(link.key('seats', replica), key)));
    return counts.reduce((sum, each) => sum + Number(each ?? 0), 0);
  } catch {
    return Number.NaN;
  }
}
