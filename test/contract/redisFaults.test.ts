/** What the Redis relay does when Redis dies, freezes, fails over, cuts a slow reader, or carries garbage. */

import { expect, onTestFinished, test } from 'vitest';
import { decodeRecord, encodeRecord } from '../../src/relay/record.ts';
import type { RelayRecord } from '../../src/relay/relay.ts';
import { needs } from '../support/needs.ts';
import { startCluster, startRedis, startSentinel } from '../support/redis.ts';
import { flows, RedisRelays, room, two } from '../support/redisRelays.ts';
import { until } from '../support/until.ts';

const redis = needs('redis');

redis.test('a Redis that is killed and comes back empty: told as away and back, and all is heard again', async () => {
  const server = await startRedis(onTestFinished);
  const both = await two(server.url);
  await server.kill();
  both[0].relay.publish(room, { data: '{}' });
  await until(() => both.every(({ told }) => told.includes('away')));
  expect(both.map(({ link }) => link.isAway)).toEqual([true, true]);
  await expect(both[0].link.commands.ping()).rejects.toThrow();
  await until(() => (both[0].dropped.get('relay') ?? 0) > 0, 'what found no way out is counted');

  await server.start();
  await until(() => both.every(({ told }) => told.at(-1) === 'back'));
  await flows(both);
  for (const { told } of both) expect(told).toEqual(['back', 'away', 'back']);
});

redis.test('a Redis that freezes: told as late before it is called away', async () => {
  const server = await startRedis(onTestFinished);
  const both = await two(server.url);
  const late = both.map(({ link }) => new Promise<boolean>((resolve) => link.onLate(() => resolve(link.isAway))));
  server.freeze();
  expect(await Promise.all(late)).toEqual([false, false]);
  server.thaw();
});

redis.test('a Redis that freezes: commands end, and what is published meanwhile is bounded and counted', async () => {
  const server = await startRedis(onTestFinished);
  const both = await two(server.url);
  server.freeze();
  await expect(both[0].link.commands.ping()).rejects.toThrow();
  const record = { data: JSON.stringify({ text: 'x'.repeat(500_000) }) };
  for (let n = 0; n < 100; n++) both[0].relay.publish(room, record);
  expect(both[0].dropped.get('relay')).toBeGreaterThan(50);
  await until(() => both.every(({ link }) => link.isAway));
  server.thaw();
  await until(() => both.every(({ link }) => !link.isAway));
  await flows(both);
});

redis.test(
  'a frozen master with Sentinels: both replicas go on over the new one, and over it alone',
  async () => {
    const sentinel = await startSentinel(onTestFinished);
    const both = await two(sentinel.url);
    const [old] = sentinel.servers;
    old!.freeze();
    await until(async () => (await sentinel.masterPort()) !== old!.port, 'the Sentinels chose another master', 20_000);
    await until(() => both.every(({ told, link }) => told.includes('away') && !link.isAway), 'both are on the new master', 20_000);
    await flows(both);
    await expect(both[0].link.commands.set(both[0].link.key('t', 'x'), '1')).resolves.toBe('OK');

    old!.thaw();
    await until(async () => String(await old!.call('role').catch(() => '')).startsWith('slave'), 'the old master follows the new one');
    await flows(both);
    await expect(both[1].link.commands.set(both[1].link.key('t', 'x'), '2')).resolves.toBe('OK');
  },
  60_000,
);

redis.test(
  'a master of a Cluster is killed: its replica takes over, and every room is heard again',
  async () => {
    const cluster = await startCluster(onTestFinished, { replicas: true });
    const both = await two(cluster.url);
    const slot = Number(await cluster.nodes[0]!.call('cluster', 'keyslot', both[0].link.channel(room)));
    await cluster.nodes[Math.floor((slot * 3) / 16_384)]!.kill();
    await until(() => both.every(({ told }) => told.includes('away')), 'the loss is noticed', 20_000);
    await until(() => both.every(({ link }) => !link.isAway), 'the replica serves', 30_000);
    await flows(both);
  },
  90_000,
);

redis.test('a subscriber that Redis cuts off is followed again, which is told', async () => {
  const server = await startRedis(onTestFinished, { 'client-output-buffer-limit': 'pubsub 64kb 0 0' });
  const both = await two(server.url);
  // More than the sockets between take: the buffer of the server overflows before this process reads.
  const record = { data: JSON.stringify({ text: 'x'.repeat(500_000) }) };
  const told = both[1].told.length;
  await until(() => {
    for (let n = 0; n < 10; n++) both[0].relay.publish(room, record);
    return both[1].interruptions > 0;
  });
  expect(both[1].told.length).toBeGreaterThan(told);
  await flows(both);
});

redis.test('garbage in a channel is refused and counted, and what is ours still arrives', async () => {
  const server = await startRedis(onTestFinished);
  const both = await two(server.url);
  const channel = both[1].link.channel(room);
  const garbage = [
    '',
    'x',
    'a\tb\tc',
    '\t\t\t\t\t\t',
    'r\t0\te\t\t\t\t{}',
    'r\t-1\te\t\t\t\t{}',
    'r\t1\te e\t\t\t\t{}',
    'r\t1\te\t\tcome\t\t{}',
    'r\t1\te\t\t\ttrace\t{}',
  ];
  for (const line of [...garbage, 'r\t1\te\t\t\t\t{\n}', `r\t1\te\t\t\t\t"${'x'.repeat(700_000)}"`])
    await server.call('publish', channel, line);
  // Bytes that are no UTF-8 become a text, which is not ours to judge here: whoever takes it reads JSON.
  await until(() => both[1].dropped.get('relay_record') === garbage.length + 2);
  both[1].got.length = 0;
  await flows(both);
  expect(both[1].dropped.get('relay_record')).toBe(garbage.length + 2);
  // A false canary is no proof of life either.
  await server.call('publish', both[1].link.key('r0', `canary:${both[1].replica}`), '1');
});

redis.test('rooms are followed by interest: the first member subscribes, the last one leaves after a while', async () => {
  const server = await startRedis(onTestFinished);
  const [a, b] = await two(server.url);
  const subscribers = async (): Promise<unknown> => ((await server.call('pubsub', 'numsub', a.link.channel(room))) as unknown[])[1];
  expect(await subscribers()).toBe(2);
  b.relay.follow(new Set(), [room]);
  a.relay.publish(room, { data: '{"late":true}' });
  await until(async () => (await subscribers()) === 1);
  expect(b.got.some(({ data }) => data.includes('late'))).toBe(false);
  b.relay.follow(new Set([room]), [room]);
  await until(async () => (await subscribers()) === 2);
  await flows([a, b]);
});

redis.test('rooms between replicas are heard by all without being asked', async () => {
  const server = await startRedis(onTestFinished);
  const relays = new RedisRelays(server.url);
  onTestFinished(() => relays.close());
  const [a, b] = [relays.open(), relays.open()];
  const got: string[] = [];
  await a.relay.start(() => undefined);
  await b.relay.start((name) => void got.push(name));
  await until(() => {
    a.relay.publish('~notices', { data: '{}' });
    a.relay.publish('~fleet', { data: '{}' });
    return got.includes('~notices') && got.includes('~fleet');
  });
});

redis.test('the newest records of a room are kept where that is wanted, cut to their number, and expire', async () => {
  const server = await startRedis(onTestFinished);
  const relays = new RedisRelays(server.url);
  onTestFinished(() => relays.close());
  const { relay, link, replica } = relays.open({ kept: (of) => (of.startsWith('host:') ? 10 : 0) });
  await relay.start(() => undefined);
  await until(() => !link.isAway);
  for (let n = 1; n <= 95; n++) relay.publish('host:x', { data: String(n), offset: n, epoch: 'e' });
  relay.publish('room:x', { data: '1', offset: 1, epoch: 'e' });
  const kept = (): Promise<string[]> => link.commands.lrange(link.keptKey('host:x'), 0, -1);
  await until(async () => (await kept()).at(-1) === encodeRecord(replica, { data: '95', offset: 95, epoch: 'e' }));
  const numbers = (await kept()).map((line) => decodeRecord(line)?.offset);
  expect(numbers).toEqual(Array.from(numbers, (_, index) => 96 - numbers.length + index));
  expect(numbers.length).toBeGreaterThanOrEqual(10);
  expect(numbers.length).toBeLessThan(40);
  expect(await link.commands.ttl(link.keptKey('host:x'))).toBeGreaterThan(500);
  expect(await link.commands.exists(link.keptKey('room:x'))).toBe(0);
});

redis.test('a Redis user with the rights that the manual names is enough', async () => {
  const server = await startRedis(onTestFinished, { 'user hub': 'on >p%w ~hostroom:* &hostroom:* +@all -@admin -@dangerous +info' });
  const both = await two(server.url.replace('//', '//hub:p%25w@'));
  await expect(both[0].link.commands.get('other')).rejects.toThrow('NOPERM');
});

redis.test('after close nothing is open: no connection, no timer that holds the process', async () => {
  const server = await startRedis(onTestFinished);
  const relays = new RedisRelays(server.url);
  const { relay, link } = relays.open();
  await relay.start(() => undefined);
  await until(() => !link.isAway);
  const clients = async (): Promise<number> =>
    String(await server.call('client', 'list'))
      .split('\n')
      .filter((line) => line.includes('name=hostroom-')).length;
  expect(await clients()).toBe(2);
  relay.publish(room, { data: '{}' });
  await relays.close();
  await until(async () => (await clients()) === 0);
});

test('a record survives its line', () => {
  const records: RelayRecord[] = [
    { data: '{}' },
    { data: '{"a":"\\t"}', offset: 1, epoch: 'e' },
    { data: '{"tab":\t1}', offset: Number.MAX_SAFE_INTEGER, epoch: '019a0000-0000-7000-8000-000000000001', info: '{"user":"u"}' },
    { data: '{"user":"u"}', presence: 'join' },
    { data: '1', trace: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` },
  ];
  for (const record of records) expect(decodeRecord(encodeRecord('replica', record))).toEqual(record);
});
