/** Several hubs on one relay: everyone hears everything once and in order, wherever it was published. */

import { expect, test } from 'vitest';
import { startConformance, type ConformanceServer } from '../../src/conformance/server.ts';
import { MemoryBus, MemoryRelay } from '../../src/relay/memory.ts';
import type { RoomsHere } from '../../src/relay/relay.ts';
import { rawConnected, serve, type Loose } from '../support/protocol.ts';
import { until } from '../support/until.ts';

/** Replicas that share their streams, as they share a database. */
async function replicas(count: number): Promise<ConformanceServer[]> {
  const bus = new MemoryBus();
  return Promise.all(Array.from({ length: count }, () => serve({ hub: { relay: new MemoryRelay(bus), holeWaitMs: 50, spreadMs: 20 } })));
}

test('publications of all replicas reach all members, in one order, once', async () => {
  const all = await replicas(3);
  const [first] = all as [ConformanceServer];
  for (const other of all) other.streams.read = first.streams.read.bind(first.streams);
  const readers = await Promise.all(all.flatMap((server) => [rawConnected(server, 'all'), rawConnected(server, 'all')]));
  for (let n = 0; n < 200; n++) {
    const from = all[n % 3]!;
    from.hub.publish('all', first.streams.add('all', String(n)));
    if (n % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  const wanted = Array.from({ length: 200 }, (_, at) => at);
  const got = (lines: Loose[]): number[] => lines.filter(({ push }) => push?.pub).map(({ push }) => push.pub.data);
  for (const { lines } of readers) {
    await until(() => got(lines).length >= 200);
    expect(got(lines)).toEqual(wanted);
  }
});

test('what the relay loses is found at the next publication', async () => {
  const [a, b] = (await replicas(2)) as [ConformanceServer, ConformanceServer];
  b.streams.read = a.streams.read.bind(a.streams);
  const reader = await rawConnected(b, 'lossy');
  a.hub.publish('lossy', a.streams.add('lossy', '1'));
  await until(() => reader.lines.some(({ push }) => push?.pub?.data === 1));
  a.hub.deliver('lossy', a.streams.add('lossy', '2'));
  a.hub.deliver('lossy', a.streams.add('lossy', '3'));
  a.hub.publish('lossy', a.streams.add('lossy', '4'));
  await until(() => reader.lines.some(({ push }) => push?.pub?.data === 4));
  expect(reader.lines.filter(({ push }) => push?.pub).map(({ push }) => push.pub.data)).toEqual([1, 2, 3, 4]);
});

test('a taken port is an error, and nothing stays behind', async () => {
  const server = await serve();
  const { port } = new URL(server.url);
  await expect(startConformance({ port: Number(port) })).rejects.toThrow('EADDRINUSE');
});

test('the relay is handed a live view of the rooms, so that a new room costs the same however many there are', async () => {
  const views = new Set<RoomsHere>();
  const relay = new MemoryRelay();
  relay.follow = (rooms) => void views.add(rooms);
  const server = await serve({ hub: { relay } });
  const reader = await rawConnected(server, 'one');
  reader.send({ id: 3, subscribe: { channel: 'two' } });
  await reader.reply(3);
  expect(views.size).toBe(1);
  const [view] = views;
  expect([...view!]).toEqual(['one', 'two']);
  reader.send({ id: 4, unsubscribe: { channel: 'one' } });
  await reader.reply(4);
  expect([view!.has('one'), view!.has('two')]).toEqual([false, true]);
});
