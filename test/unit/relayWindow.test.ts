/** How long the relay through Redis gathers: what is sent when, without a Redis behind it. */

import { expect, onTestFinished, test, vi } from 'vitest';
import { RedisRelay } from '../../src/relay/redis.ts';
import type { RedisLink } from '../../src/relay/redisLink.ts';

const [sample, talk] = ['host:a', 'room:a'];

/** A relay whose link only notes how many records each command carries, and at which millisecond. */
async function noting(): Promise<{ publish: (room: string) => void; sent: [atMs: number, records: number][] }> {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'clearImmediate', 'performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const beganMs = performance.now();
  const sent: [number, number][] = [];
  const link = {
    hear: () => undefined,
    follow: () => undefined,
    group: () => 0,
    channel: (room: string) => room,
    commands: {
      evalsha: (_hash: string, records: number) => {
        sent.push([Math.round(performance.now() - beganMs), records]);
        return Promise.resolve(0);
      },
    },
  };
  const relay = new RedisRelay({ link: link as unknown as RedisLink, replica: 'r' });
  await relay.start(() => undefined);
  return { publish: (room) => relay.publish(room, { data: '1' }), sent };
}

test('few samples wait 5 ms; talk waits for nothing, takes along what waits, and makes no replica busy', async () => {
  const { publish, sent } = await noting();
  publish(sample);
  vi.advanceTimersByTime(100);
  publish(talk);
  publish(talk);
  vi.advanceTimersByTime(1);
  publish(sample);
  vi.advanceTimersByTime(1);
  publish(talk);
  vi.advanceTimersByTime(98);
  publish(sample);
  vi.advanceTimersByTime(100);
  expect(sent).toEqual([
    [5, 1],
    [100, 2],
    [102, 2],
    [205, 1],
  ]);
});

test('from 250 samples a second on they wait 30 ms, until there are fewer', async () => {
  const { publish, sent } = await noting();
  for (let ms = 0; ms < 70; ms++) {
    publish(sample);
    vi.advanceTimersByTime(1);
  }
  vi.advanceTimersByTime(100);
  expect(sent.map(([, records]) => records)).toEqual([5, 30, 30, 5]);
  publish(sample);
  vi.advanceTimersByTime(100);
  publish(sample);
  vi.advanceTimersByTime(100);
  const waits = sent.slice(-2).map(([atMs], index) => atMs - 170 - 100 * index);
  expect(waits).toEqual([5, 5]);
});
