/** The newest samples of a host in a real Redis: what one replica publishes another one finds there, checked, whole, and bounded. */

import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { refillRecent } from '../../src/actions/refillRecent.ts';
import { insertSamples } from '../../src/data/samples.ts';
import { newId } from '../../src/lib/id.ts';
import type { Sample } from '../../src/protocol/kinds.ts';
import { hostRoom } from '../../src/protocol/rooms.ts';
import { keptRecords, RecentSamples } from '../../src/relay/recentSamples.ts';
import { SampleStream } from '../../src/streams/samples.ts';
import { freshDatabase, type TestDatabase } from '../support/database.ts';
import { onEachRedis } from '../support/onEachRedis.ts';
import { startRedis, type RedisSetup } from '../support/redis.ts';
import { RedisRelays, type OpenedRelay } from '../support/redisRelays.ts';
import { until } from '../support/until.ts';

onEachRedis('the newest samples in Redis', (started) => {
  let redis: RedisSetup;
  let database: TestDatabase;
  const closers: (() => Promise<void>)[] = [];
  const whenDone = (close: () => Promise<void>): void => void closers.push(close);
  afterAll(async () => {
    for (let close = closers.pop(); close; close = closers.pop()) await close();
  });
  beforeAll(async () => {
    redis = await started();
    database = await freshDatabase(whenDone);
  });

  const boot = newId();
  const bootMs = Date.now();
  const sampleOf = (seq: number, of = boot): Sample => ({ kind: 'sample', at: bootMs + seq * 1000, seq, boot: of, metrics: { n: seq } });

  interface Replica extends OpenedRelay {
    recent: RecentSamples;
    samples: SampleStream;
    /** As if the agent published here. */
    publish(host: string, sample: Sample, pad?: string): void;
    offsets(host: string, range?: object): Promise<number[]>;
  }

  /** Replicas of one hub; what they have of PostgreSQL counts how often it is asked. */
  async function replicas(count: number, options: { freshMs?: number } = {}): Promise<{ all: Replica[]; asked: () => number }> {
    const relays = new RedisRelays(redis.url);
    onTestFinished(() => relays.close());
    let asked = 0;
    const counting = new Proxy(database.sql, {
      apply: (target, self, parameters: unknown[]) => {
        asked++;
        return Reflect.apply(target, self, parameters) as unknown;
      },
    });
    const open = async (): Promise<Replica> => {
      const opened = relays.open({ kept: keptRecords });
      await opened.relay.start(() => undefined);
      await until(() => !opened.link.isAway, 'Redis is there');
      const recent = new RecentSamples(opened.link, opened.replica);
      const samples = new SampleStream({ sql: counting, recent, ...options });
      return Object.assign(opened, {
        recent,
        samples,
        publish: (host: string, sample: Sample, pad = '') => {
          const data = JSON.stringify({ ...sample, pad });
          samples.add(host, sample, data);
          opened.relay.publish(hostRoom(host), { data, offset: sample.seq, epoch: sample.boot });
        },
        offsets: async (host: string, range = {}) =>
          (await samples.read(hostRoom(host), { limit: 300, ...range })).entries.map(({ offset }) => offset),
      });
    };
    return { all: await Promise.all(Array.from({ length: count }, open)), asked: () => asked };
  }

  const keptOf = async (replica: Replica, host: string): Promise<number> =>
    replica.link.commands.llen(replica.link.keptKey(hostRoom(host)));
  const upTo = (last: number): number[] => Array.from({ length: last }, (_, at) => at + 1);

  test('a replica that knows nothing of a host reads all of it there, and asks PostgreSQL nothing', async () => {
    const { all, asked } = await replicas(2);
    const [a, b] = all as [Replica, Replica];
    const host = newId();
    for (let seq = 1; seq <= 40; seq++) a.publish(host, sampleOf(seq));
    await until(async () => (await keptOf(a, host)) === 40);
    expect((await b.samples.read(hostRoom(host), { limit: 0 })).top).toEqual({ offset: 40, epoch: boot });
    expect(b.samples.latest(host).sample).toMatchObject({ seq: 40, metrics: { n: 40 } });
    expect(await b.offsets(host, { since: 38 })).toEqual([39, 40]);
    expect(await b.offsets(host, { since: 0 })).toEqual(upTo(40));
    expect(asked()).toBe(0);
  });

  test('what was heard long ago is brought up to date, a new boot included', async () => {
    const { all, asked } = await replicas(2, { freshMs: 20 });
    const [a, b] = all as [Replica, Replica];
    const host = newId();
    a.publish(host, sampleOf(1));
    await until(async () => (await keptOf(a, host)) === 1);
    expect(await b.offsets(host, { since: 0 })).toEqual([1]);
    for (let seq = 2; seq <= 5; seq++) a.publish(host, sampleOf(seq));
    await until(async () => (await b.offsets(host, { since: 0 })).length === 5);
    const next = newId();
    a.publish(host, { ...sampleOf(1, next), at: bootMs + 60_000 });
    await until(async () => (await b.samples.read(hostRoom(host), { limit: 0 })).top.epoch === next);
    expect(await b.offsets(host, { since: 0, epoch: next })).toEqual([1]);
    expect(await b.offsets(host, { since: 0, epoch: boot })).toEqual([]);
    expect(b.samples.latest(host).sample?.boot).toBe(next);
    expect(asked()).toBe(0);
  });

  test('300 publications and 256 KiB of a host are kept, and expire', async () => {
    const [a] = (await replicas(1)).all as [Replica];
    const [many, large] = [newId(), newId()];
    for (let seq = 1; seq <= 400; seq++) a.publish(many, sampleOf(seq));
    for (let seq = 1; seq <= 150; seq++) a.publish(large, sampleOf(seq), 'x'.repeat(8_000));
    const isLast = async (host: string, seq: number): Promise<boolean> =>
      (await a.recent.read(host, 1))[0]?.includes(`"seq":${seq},`) ?? false;
    await until(async () => (await isLast(many, 400)) && (await isLast(large, 150)));
    expect(await keptOf(a, many)).toBeGreaterThanOrEqual(300);
    expect(await keptOf(a, many)).toBeLessThan(340);
    expect(await keptOf(a, large)).toBeLessThan(70);
    for (const host of [many, large]) expect(await a.link.commands.ttl(a.link.keptKey(hostRoom(host)))).toBeGreaterThan(0);
  });

  test('what others than a hub wrote is passed over', async () => {
    const { all } = await replicas(2);
    const [a, b] = all as [Replica, Replica];
    const host = newId();
    a.publish(host, sampleOf(1));
    await until(async () => (await keptOf(a, host)) === 1);
    const key = a.link.keptKey(hostRoom(host));
    const wrong = { ...sampleOf(3), metrics: { n: 'x' } };
    for (const line of ['', 'x', '\t\t\t\t\t\t{', `\t\t\t\t\t\t${JSON.stringify(wrong)}`, '\t\t\t\t\t\t{}}\n{"push":{}}']) {
      await a.link.commands.rpush(key, line);
    }
    a.publish(host, sampleOf(2));
    await until(async () => (await keptOf(a, host)) === 7);
    expect(await b.offsets(host, { since: 0 })).toEqual([1, 2]);
    await a.link.commands.del(key);
    await a.link.commands.set(key, 'no list');
    const [c] = (await replicas(1)).all as [Replica];
    expect(await c.offsets(host, { since: 0 })).toEqual([]);
    a.publish(host, sampleOf(3));
    await until(async () => (await a.link.commands.type(key)) === 'list', 'it makes room');
    expect(await a.recent.read(host, 9)).toHaveLength(1);
  });

  test('a Redis that lost everything is filled anew; a deleted host is forgotten there too', async () => {
    const { all, asked } = await replicas(2);
    const [a, b] = all as [Replica, Replica];
    const [host, silent] = [newId(), newId()];
    for (let seq = 1; seq <= 20; seq++) a.publish(host, sampleOf(seq));
    await until(async () => (await keptOf(a, host)) === 20);
    await a.link.commands.del(a.link.keptKey(hostRoom(host)));
    await refillRecent(a, [host, silent]);
    expect(await b.offsets(host, { since: 0 })).toEqual(upTo(20));
    expect(await a.link.commands.ttl(a.link.keptKey(hostRoom(host)))).toBeGreaterThan(0);
    expect([await keptOf(a, silent), asked()]).toEqual([0, 0]);
    b.samples.forget(host);
    await until(async () => (await keptOf(a, host)) === 0);
  });

  test('while Redis is away PostgreSQL is asked', async () => {
    const own = await startRedis(onTestFinished);
    const relays = new RedisRelays(own.url);
    onTestFinished(() => relays.close());
    const { link, replica } = relays.open();
    await until(() => !link.isAway, 'Redis is there');
    const samples = new SampleStream({ sql: database.sql, recent: new RecentSamples(link, replica) });
    const host = newId();
    await insertSamples(database.sql, [{ host, ...sampleOf(1), frame: JSON.stringify(sampleOf(1)) }]);
    await own.kill();
    const { top, entries } = await samples.read(hostRoom(host), { since: 0, limit: 300 });
    expect([top.offset, entries.length]).toEqual([1, 1]);
  });
});
