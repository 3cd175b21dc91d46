/** Replicas that know each other through Redis, share what they may move, and stop one after the other. */

import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Replicas, type ReplicasParts } from '../../src/cluster/replicas.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { newId } from '../../src/lib/id.ts';
import { parseRedisAddress } from '../../src/lib/redisAddress.ts';
import { Moves } from '../../src/relay/moves.ts';
import { RedisLink } from '../../src/relay/redisLink.ts';
import { MemoryReplicas, parseRow, RedisReplicas, type ReplicaRow } from '../../src/relay/replicaRows.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { BrowserSocket } from '../support/browserSocket.ts';
import { needs } from '../support/needs.ts';
import { onEachRedis } from '../support/onEachRedis.ts';
import { startRedis, type RedisProcess, type RedisSetup } from '../support/redis.ts';
import { until } from '../support/until.ts';

const row: ReplicaRow = {
  id: newId(),
  name: 'hub-1',
  node: '',
  version: '1',
  startedAt: 1,
  at: Date.now(),
  connections: { agent: 1, user: 2 },
  rooms: 3,
  messagesPerSecond: 4.5,
  loopLagMs: 0.1,
  ready: true,
  draining: false,
};

test('a row is checked like input from outside', () => {
  expect(parseRow(JSON.stringify(row))).toEqual(row);
  for (const wrong of [
    { ...row, connections: null },
    { ...row, connections: { agent: -1, user: 0 } },
    { ...row, at: 'now' },
    { ...row, name: 7 },
    { ...row, name: 'x'.repeat(254) },
    { ...row, ready: 1 },
  ])
    expect(parseRow(JSON.stringify(wrong))).toBe(undefined);
  for (const text of ['', '{', 'null', '[]', '7', 'x'.repeat(5_000)]) expect(parseRow(text)).toBe(undefined);
});

test('alone there is one row, always fresh', async () => {
  const alone = replicaOn(new MemoryReplicas());
  expect(await alone.read()).toMatchObject([{ name: 'replica', ready: false, draining: false, connections: { agent: 1, user: 2 } }]);
  alone.ready();
  expect(await alone.read()).toMatchObject([{ ready: true }]);
});

test('what was here for a while is the least that was told of late', async () => {
  let agent = 5;
  const alone = replicaOn(new MemoryReplicas(), {
    counts: () => ({ connections: { agent, user: 0 }, rooms: 0 }),
    times: { everyMs: 20_000 },
  });
  await alone.read();
  expect(alone.steadyConnections).toBe(5);
  agent = 9;
  await alone.tell();
  expect(alone.steadyConnections).toBe(5);
  agent = 2;
  await alone.tell();
  expect(alone.steadyConnections).toBe(2);
});

function replicaOn(store: ReplicasParts['store'], over: Partial<ReplicasParts> = {}): Replicas {
  const replica = new Replicas({
    store,
    self: { id: newId(), name: 'replica', node: '', version: '1' },
    clock: systemClock,
    counts: () => ({ connections: { agent: 1, user: 2 }, rooms: 3 }),
    messages: () => 0,
    failed: () => undefined,
    times: { everyMs: 50, ttlMs: 1_000, removeMs: 2_000 },
    ...over,
  });
  replica.start();
  onTestFinished(() => replica.close());
  return replica;
}

onEachRedis('through Redis', (started) => {
  let redis: RedisSetup;
  beforeAll(async () => {
    redis = await started();
  });
  const open = async (hub = newId()): Promise<RedisLink> => {
    const address = parseRedisAddress(redis.url);
    if (!address) throw new Error(redis.url);
    const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };
    const link = new RedisLink({ address, hub, replica: newId(), log: quiet });
    onTestFinished(() => link.close());
    await until(() => !link.isAway, 'Redis is there');
    return link;
  };

  test('replicas see each other come, drain and go', async () => {
    const link = await open();
    let dropped = 0;
    const store = new RedisReplicas(link, () => dropped++);
    const first = replicaOn(store);
    const second = replicaOn(store);
    const namesSeen = (): number => first.others.length;
    await until(() => namesSeen() === 1, 'the second is seen');
    expect(first.others[0]).toMatchObject({ ready: false });
    second.ready();
    await until(() => first.others[0]?.ready, 'the second is ready');
    const changedMs = first.unchangedMs;
    await until(() => first.unchangedMs > changedMs, 'nothing changes');
    await second.draining();
    expect((await first.read()).length).toBe(2);
    await until(() => first.others[0]?.draining, 'the second drains');
    expect(first.unchangedMs).toBeLessThan(10_000);
    await second.close();
    await until(() => namesSeen() === 0, 'the second is gone');
    await link.commands.hset(link.key('replicas', 'rows'), 'x', 'no row', newId(), JSON.stringify(row));
    await until(() => dropped >= 2, 'what is no row is dropped');
    expect(namesSeen()).toBe(0);
  });

  test('a replica that goes silent while it drains is told of, once; its row is taken away', async () => {
    const link = await open();
    const store = new RedisReplicas(link, () => undefined);
    const gone: string[] = [];
    replicaOn(store, { vanished: ({ name }) => gone.push(name) });
    const key = link.key('replicas', 'rows');
    await link.commands.hset(key, row.id, JSON.stringify({ ...row, at: Date.now(), draining: true, name: 'killed' }));
    const other = { ...row, id: newId(), at: Date.now(), name: 'idle', draining: true, connections: { agent: 0, user: 0 } };
    await link.commands.hset(key, other.id, JSON.stringify(other));
    await until(async () => (await link.commands.hlen(key)) === 1, 'only the living one is left');
    expect(gone).toEqual(['killed']);
  });

  test('all replicas together move no more than the budget, and nobody twice within ten minutes', async () => {
    const hub = newId();
    const [first, second] = [new Moves(await open(hub)), new Moves(await open(hub))];
    const many = (from: string): { key: string; openMs: number }[] =>
      Array.from({ length: 30 }, (_, at) => ({ key: `${from} ${at}`, openMs: 1_000 }));
    const taken = (await Promise.all([first.take(many('a'), 30, 40), second.take(many('b'), 30, 40)])).flat();
    expect(taken.length).toBeGreaterThanOrEqual(40);
    // What time has added meanwhile.
    expect(taken.length).toBeLessThan(60);
    const { key } = taken[0]!;
    const granted = (moves: Moves, candidates: { key: string; openMs: number }[], count: number): Promise<boolean> =>
      until(async () => (await moves.take(candidates, count, 1_000)).length === count, 'the budget fills');
    await granted(first, [{ key: 'new', openMs: 1 }], 1);
    expect(await first.take([{ key, openMs: 0 }], 1, 1_000)).toEqual([]);
    // One that was open before the first move of its owner was not moved itself.
    await granted(second, [{ key, openMs: 60_000 }], 1);
    expect((await second.take(many('c'), 5, 1_000)).length).toBeLessThanOrEqual(5);
    expect(await second.take([], 5, 1_000)).toEqual([]);
  });

  test('what stands in place of the rows or of the budget makes room', async () => {
    const link = await open();
    for (const key of [link.key('replicas', 'rows'), link.key('moves', 'bucket'), link.key('moves', 'moved')])
      await link.commands.set(key, 'nothing of ours');
    const store = new RedisReplicas(link, () => undefined);
    await until(async () => (await store.exchange(row).catch(() => [])).length === 1, 'the row is there');
    const moves = new Moves(link);
    await until(async () => (await moves.take([{ key: 'one', openMs: 1 }], 1, 10).catch(() => [])).length === 1, 'one may move');
  });
});

needs('redis').describe('through Redis', () => {
  let redis: RedisProcess;
  beforeAll(async () => {
    redis = await startRedis(afterAll);
  });

  describe('whole hubs', () => {
    const grace = { SHUTDOWN_GRACE: '9s' };
    const start = async (): Promise<[TestApp, TestApp]> => {
      const first = await startTestApp(onTestFinished, { REDIS_URL: redis.url, ...grace });
      return [first, await startTestApp(onTestFinished, { REDIS_URL: redis.url, DATABASE_URL: first.database.url, ...grace })];
    };

    test('admins see both, and how the second stops: ready no more, still serving, then its clients sent on, then gone', async () => {
      const [first, second] = await start();
      const admin = await first.signIn();
      const list = async (): Promise<(ReplicaRow & { self: boolean })[]> => {
        const answer = await admin.call('GET', '/replicas');
        expect(answer.status).toBe(200);
        return ((await answer.json()) as { items: (ReplicaRow & { self: boolean })[] }).items;
      };
      const items = await until(async () => {
        const found = await list();
        return found.length === 2 && found.every(({ ready }) => ready) && found;
      }, 'both are seen');
      expect(items.filter(({ self }) => self)).toHaveLength(1);
      expect((await admin.call('PUT', '/replicas/scale', { replicas: 3 })).status).toBe(409);
      expect((await admin.call('PUT', '/replicas/scale', { replicas: 0 })).status).toBe(400);
      expect((await fetch(`${first.url}/api/v1/replicas`)).status).toBe(401);

      const closes: number[] = [];
      const { accessToken } = admin;
      const connect = async (): Promise<void> => {
        const socket = new BrowserSocket(`${second.url.replace('http', 'ws')}/connection/websocket`, 'centrifuge-json');
        socket.addEventListener('close', ({ code }) => void closes.push(code));
        await new Promise<void>((resolve, reject) => {
          socket.addEventListener('open', () => socket.send(JSON.stringify({ id: 1, connect: { token: accessToken } })));
          socket.addEventListener('message', () => resolve());
          socket.addEventListener('error', () => reject(new Error('refused')));
        });
      };
      for (let client = 0; client < 10; client++) await connect();
      await until(async () => (await list()).some(({ self, connections }) => !self && connections.user === 10), 'ten are counted');

      const closing = second.app.close();
      await until(async () => (await list()).some(({ self, draining }) => !self && draining), 'the drain is seen');
      expect((await fetch(`${second.opsUrl}/readyz`)).status).toBe(503);
      await connect();
      expect(closes).toEqual([]);
      await closing;
      await until(() => closes.length === 11, 'all are closed');
      expect(new Set(closes)).toEqual(new Set([3001]));
      expect(second.lines.some((line) => line.includes('"drained"'))).toBe(true);
      expect(second.lines.some((line) => line.includes('SHUTDOWN_GRACE is too short'))).toBe(true);
      await until(async () => (await list()).length === 1, 'the second is gone');
    });

    test('the last one does not wait for others', async () => {
      const first = await startTestApp(onTestFinished, { REDIS_URL: redis.url });
      const from = performance.now();
      await first.app.close();
      expect(first.lines.some((line) => line.includes('draining'))).toBe(false);
      expect(performance.now() - from).toBeLessThan(10_000);
    });
  });
});
