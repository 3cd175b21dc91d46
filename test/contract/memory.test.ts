/** The memory relay and the memory streams hold their contracts, and what is theirs alone. */

import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { MemoryBus, MemoryRelay } from '../../src/relay/memory.ts';
import { MemoryStreams } from '../../src/streams/memory.ts';
import { relayContract } from './relay.ts';
import { streamContract } from './stream.ts';

relayContract('memory', async () => {
  const bus = new MemoryBus();
  return { open: () => new MemoryRelay(bus), close: async () => expect(bus.relays.size).toBe(0) };
});

streamContract('memory', async () => {
  const stream = new MemoryStreams({ size: 100, ttlMs: 60_000 });
  const room = randomUUID();
  let count = 0;
  const fill = async (more: number): Promise<void> => {
    for (let n = 0; n < more; n++) stream.add(room, String(++count));
  };
  return { stream, room, fill, close: async () => undefined };
});

const read = async (streams: MemoryStreams, room = 'r') => streams.read(room, { since: 0, limit: 100 });

test('size bounds what is kept, not the position', async () => {
  const streams = new MemoryStreams({ size: 2, ttlMs: 60_000 });
  for (let n = 1; n <= 5; n++) streams.add('r', String(n));
  expect(await read(streams)).toMatchObject({ top: { offset: 5 }, entries: [{ offset: 4 }, { offset: 5 }] });
});

test('data ends with its time; epoch and top outlive it, then end too', async () => {
  let now = 0;
  const streams = new MemoryStreams({ size: 10, ttlMs: 1000, metaTtlMs: 5000, now: () => now });
  const { epoch } = streams.add('r', '1');
  now = 1001;
  expect(await read(streams)).toEqual({ top: { epoch, offset: 1 }, entries: [] });
  expect(streams.add('r', '2')).toMatchObject({ epoch, offset: 2 });
  now += 5001;
  const { top } = await read(streams);
  expect(top.offset).toBe(0);
  expect(top.epoch).not.toBe(epoch);
});

test('rooms are bounded: the one added to least recently is forgotten', async () => {
  const streams = new MemoryStreams({ size: 10, ttlMs: 60_000, maxRooms: 3 });
  for (const room of ['a', 'b', 'c']) streams.add(room, '1');
  streams.add('a', '2');
  streams.add('d', '1');
  expect((await read(streams, 'a')).top.offset).toBe(2);
  expect((await read(streams, 'c')).top.offset).toBe(1);
  expect((await read(streams, 'b')).top.offset).toBe(0);
});
