/** A Redis that is full, read-only, loading, paused, emptied, or talks nonsense: degraded at most, and all is right again afterwards. */

import { createServer, connect, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished } from 'vitest';
import { keptRecords } from '../../src/relay/recentSamples.ts';
import { needs } from '../support/needs.ts';
import { startRedis, type RedisProcess } from '../support/redis.ts';
import { flows, room, two, type Listener } from '../support/redisRelays.ts';
import { until } from '../support/until.ts';

const redis = needs('redis');
const epoch = '019a0000-0000-7000-8000-00000000000b';

/** Publishes as an agent's sample, which Redis keeps. */
const publish = ({ relay }: Listener, offset: number): void => relay.publish(room, { data: `{"n":${offset}}`, offset, epoch });
const heard = ({ got }: Listener, offset: number): Promise<unknown> =>
  until(() => got.some((record) => record.offset === offset), `${offset} is heard`);
const kept = ({ link }: Listener): Promise<number> => link.commands.llen(link.keptKey(room));

redis.test('out of memory: samples still reach the other replicas, and are kept again once there is room', async () => {
  const server = await startRedis(onTestFinished, { 'maxmemory-policy': 'noeviction' });
  const [a, b] = await two(server.url, { kept: keptRecords });
  await server.call('config', 'set', 'maxmemory', 1);
  const [before, told] = [await kept(a), a.told.length];
  for (let offset = 1; offset <= 5; offset++) publish(a, offset);
  await heard(b, 5);
  await until(() => a.dropped.get('relay_kept') === 5, 'what was not kept is counted');
  expect([await kept(a), a.told.length, a.dropped.get('relay')]).toEqual([before, told, undefined]);
  await expect(a.link.commands.set(a.link.key('t', 'x'), '1')).rejects.toThrow('OOM');
  await server.call('config', 'set', 'maxmemory', 0);
  publish(a, 6);
  await heard(b, 6);
  await until(async () => (await kept(a)) === before + 1, 'it is kept');
});

redis.test('something else under the name of a list makes room', async () => {
  const server = await startRedis(onTestFinished);
  const [a, b] = await two(server.url, { kept: keptRecords });
  await server.call('set', a.link.keptKey(room), 'no list');
  for (let offset = 1; offset <= 3; offset++) publish(a, offset);
  await heard(b, 3);
  await until(async () => (await kept(a)) === 3, 'they are kept');
  expect(Number(await server.call('ttl', a.link.keptKey(room)))).toBeGreaterThan(0);
  expect(a.dropped.size).toBe(0);
});

redis.test('emptied while it runs, and its scripts forgotten: nothing is lost on its way', async () => {
  const server = await startRedis(onTestFinished);
  const [a, b] = await two(server.url, { kept: keptRecords });
  const told = a.told.length;
  for (let offset = 1; offset <= 60; offset++) {
    publish(a, offset);
    if (offset % 20 === 0) await Promise.all([server.call('flushall'), server.call('script', 'flush')]);
  }
  await heard(b, 60);
  expect(new Set(b.got.flatMap((record) => record.offset ?? []))).toEqual(new Set(Array.from({ length: 60 }, (_, index) => index + 1)));
  expect([a.told.length, b.dropped.size, a.dropped.size]).toEqual([told, 0, 0]);
});

redis.test('paused for longer than a canary may take: away, then back', async () => {
  const server = await startRedis(onTestFinished);
  const both = await two(server.url);
  await server.call('client', 'pause', 3_000, 'all');
  await until(() => both.every(({ told }) => told.includes('away')), 'both notice');
  await until(() => both.every(({ link }) => !link.isAway), 'both are back', 20_000);
  await flows(both);
});

redis.test('a master that became a replica, and is one no more', async () => {
  const [server, master] = [await startRedis(onTestFinished), await startRedis(onTestFinished)];
  const both = await two(server.url, { kept: keptRecords });
  const [a, b] = both;
  await server.call('replicaof', '127.0.0.1', master.port);
  await until(async () => String(await server.call('role')).startsWith('slave'), 'it follows');
  await expect(until(async () => void (await a.link.commands.set(a.link.key('t', 'x'), '1')), 'it takes a write', 500)).rejects.toThrow();
  await server.call('replicaof', 'no', 'one');
  await until(async () => (await a.link.commands.set(a.link.key('t', 'x'), '1').catch(() => '')) === 'OK', 'it takes writes again', 20_000);
  await until(() => both.every(({ link }) => !link.isAway), 'both have it', 20_000);
  await flows(both);
  publish(a, 1);
  await heard(b, 1);
  await until(async () => (await kept(a)) > 0, 'it is kept');
});

redis.test('loading its data for long: away, then back', async () => {
  const slow = { 'enable-debug-command': 'yes', 'key-load-delay': '1000', 'loading-process-events-interval-bytes': '1024' };
  const server = await startRedis(onTestFinished, slow);
  const both = await two(server.url);
  await server.call('debug', 'populate', 5_000, 'x', 100);
  // Answers when it is done.
  const loading = server.call('debug', 'reload').catch(() => undefined);
  await until(() => both.every(({ told }) => told.includes('away')), 'both notice', 20_000);
  await loading;
  await until(() => both.every(({ link }) => !link.isAway), 'both are back', 30_000);
  await flows(both);
});

redis.test('nonsense in place of answers: the connections are made anew', async () => {
  const server = await startRedis(onTestFinished);
  const proxy = await startProxy(server);
  const both = await two(proxy.url);
  // The last one swallows all that follows as its text.
  for (const nonsense of ['?\r\n', ':x\r\n\r\n', '\0\xff\xfe', '+OK\r\n', '$1000000000\r\n']) {
    proxy.say(nonsense);
    // A word may hide in an answer that is under way; what counts is that both talk again.
    await flows(both);
    await until(() => both.every(({ link }) => !link.isAway), `both are back after ${JSON.stringify(nonsense)}`, 30_000);
    await until(
      async () => (await Promise.all(both.map(({ link }) => link.commands.ping().catch(() => '')))).join() === 'PONG,PONG',
      'commands',
      20_000,
    );
  }
});

redis.test('two hubs on one Redis know nothing of each other', async () => {
  const server = await startRedis(onTestFinished);
  const [one, other] = [await two(server.url, { kept: keptRecords }), await two(server.url, { kept: keptRecords })];
  expect(one[0].link.prefix).not.toBe(other[0].link.prefix);
  for (const { got } of other) got.length = 0;
  for (let offset = 1; offset <= 5; offset++) publish(one[0], offset);
  await heard(one[1], 5);
  await flows(other);
  expect(other.flatMap(({ got }) => got).filter((record) => record.offset !== undefined)).toEqual([]);
  expect(await kept(other[0])).toBe(0);
});

/** Passes everything on, and says things of its own to all who are connected. */
async function startProxy({ port }: RedisProcess): Promise<{ url: string; say(text: string): void }> {
  const sockets = new Set<Socket>();
  const proxy = createServer((client) => {
    const upstream = connect(port, '127.0.0.1');
    sockets.add(client);
    client.on('close', () => sockets.delete(client));
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      from.on('error', () => to.destroy());
      from.on('close', () => to.destroy());
      from.pipe(to);
    }
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    proxy.close();
  });
  return {
    url: `redis://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    say: (text) => {
      for (const socket of sockets) socket.write(Buffer.from(text, 'latin1'));
    },
  };
}
