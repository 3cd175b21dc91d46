/** Clients that do not read: bounded memory, nobody else notices, and those who come back are told what they missed. */

import { EventEmitter } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { WebSocket } from 'ws';
import type { ConformanceServer } from '../../src/conformance/server.ts';
import { slowBytes, maxQueuedBytes, type Client } from '../../src/hub/client.ts';
import { noMetrics, type HubMetrics } from '../../src/hub/metrics.ts';
import { Wire } from '../../src/hub/wire.ts';
import { next, rawConnected, record, sdk, serve, type Raw, type Loose } from '../support/protocol.ts';
import { until } from '../support/until.ts';

const chunk = JSON.stringify('x'.repeat(32 * 1024));

interface Counts {
  dropped: Map<string, number>;
  slowClosed: number;
  recovered: string[];
  deliveries: number;
  sent: Map<string, number>;
}

function counting(): { counts: Counts; metrics: HubMetrics } {
  const counts: Counts = { dropped: new Map(), slowClosed: 0, recovered: [], deliveries: 0, sent: new Map() };
  const metrics: HubMetrics = {
    ...noMetrics,
    sent: (kind, count) => counts.sent.set(kind, (counts.sent.get(kind) ?? 0) + count),
    dropped: (what, count) => counts.dropped.set(what, (counts.dropped.get(what) ?? 0) + count),
    slowClosed: () => counts.slowClosed++,
    recovered: (result) => counts.recovered.push(result),
    deliverSeconds: () => counts.deliveries++,
  };
  return { counts, metrics };
}

/** Publishes chunk after chunk, a turn of the event loop each, until `holds`; at most 64 MiB. */
async function publishUntil(server: ConformanceServer, channel: string, holds: () => boolean): Promise<number> {
  let published = 0;
  while (!holds() && published < 2048) {
    server.hub.publish(channel, server.streams.add(channel, chunk));
    published++;
    await turn();
  }
  expect(holds()).toBe(true);
  return published;
}

function clientOf(server: ConformanceServer, raw: Raw): Client {
  const { client: id } = raw.lines.find(({ connect }) => connect).connect;
  return [...server.hub.clients()].find((client) => client.id === id)!;
}

test('a slow reader of a skippable room misses publications, and at drain is told to recover', async () => {
  const { counts, metrics } = counting();
  const server = await serve({ hub: { metrics }, historySize: 300 });
  const channel = 'skippable:a';
  const quick = sdk(server);
  const subscription = quick.newSubscription(channel);
  const seen = record(subscription);
  subscription.subscribe();
  quick.connect();
  await subscription.ready();

  const slow = await rawConnected(server, channel);
  const client = clientOf(server, slow);
  slow.ws.pause();
  const published = await publishUntil(server, channel, () => client.isSlow);
  for (let more = 0; more < 20; more++) server.hub.publish(channel, server.streams.add(channel, JSON.stringify(more)));
  await until(() => seen.data().length === published + 20);
  expect(counts.dropped.get('slow_client')).toBeGreaterThanOrEqual(1);
  expect(client.wire.queuedBytes).toBeLessThanOrEqual(slowBytes + 64 * 1024);
  expect(client.rooms.get(channel)?.state).toBe('paused');

  slow.ws.resume();
  const { push } = await slow.line((line) => line.push?.unsubscribe);
  expect(push).toEqual({ channel, unsubscribe: { code: 2500, reason: 'insufficient state' } });
  const last = slow.lines.findLast((line) => line.push?.pub).push.pub.offset;
  const { epoch } = slow.lines.find((line) => line.subscribe).subscribe;
  slow.send({ id: 9, subscribe: { channel, recover: true, offset: last, epoch } });
  const { subscribe } = await slow.reply(9);
  const total = published + 20;
  if (subscribe.recovered)
    expect(subscribe.publications.map(({ offset }: Loose) => offset)).toEqual(
      Array.from({ length: total - last }, (_, at) => last + 1 + at),
    );
  else expect(subscribe.offset).toBe(total);
  expect(seen.events.filter(([name]) => name === 'subscribed')).toHaveLength(1);
  expect(counts.slowClosed).toBe(0);
});

test('conversation is never skipped: over 1 MiB the reader is closed with 3008, the others get everything', async () => {
  const { counts, metrics } = counting();
  const server = await serve({ hub: { metrics } });
  const good = sdk(server);
  const subscription = good.newSubscription('talk');
  const seen = record(subscription);
  subscription.subscribe();
  good.connect();
  await subscription.ready();
  const slow = await rawConnected(server, 'talk');
  const client = clientOf(server, slow);
  slow.ws.pause();
  let most = 0;
  const published = await publishUntil(server, 'talk', () => {
    most = Math.max(most, client.wire.queuedBytes);
    return client.closed;
  });
  expect(most).toBeLessThanOrEqual(maxQueuedBytes);
  expect(counts.slowClosed).toBe(1);
  expect(counts.dropped.size).toBe(0);
  expect(server.hub.connections).toEqual({ agent: 0, user: 1 });
  slow.ws.resume();
  expect(await slow.closed).toEqual({ code: 3008, reason: 'slow' });
  await until(() => seen.data().length === published);
});

test('who stays over 256 KiB for too long is closed with 3008, and cut if the close does not get through', async () => {
  const { counts, metrics } = counting();
  const server = await serve({ hub: { metrics, slowMs: 200 }, gateway: { timings: { closeTimeoutMs: 200 } } });
  const slow = await rawConnected(server, 'skippable:b');
  const client = clientOf(server, slow);
  slow.ws.pause();
  await publishUntil(server, 'skippable:b', () => client.isSlow);
  await until(() => counts.slowClosed === 1);
  await until(() => server.gateway.connections === 0);
});

test('the next command waits while the queue is over 256 KiB, so no reader can pile up replies', async () => {
  const server = await serve();
  for (let n = 0; n < 16; n++) server.streams.add('pile', chunk);
  const slow = await rawConnected(server);
  const client = clientOf(server, slow);
  slow.ws.pause();
  slow.send(...Array.from({ length: 200 }, (_, at) => ({ id: 10 + at, history: { channel: 'pile', limit: -1 } })));
  let most = 0;
  await until(() => {
    most = Math.max(most, client.wire.queuedBytes);
    return client.isSlow;
  });
  for (let look = 0; look < 100; look++) {
    most = Math.max(most, client.wire.queuedBytes);
    await turn();
  }
  expect(most).toBeLessThanOrEqual(maxQueuedBytes);
  slow.ws.resume();
  await slow.reply(209);
  expect(slow.lines.filter(({ history }) => history)).toHaveLength(200);
});

test('a hot room is serialised once per turn, whatever its size', async () => {
  const { counts, metrics } = counting();
  const server = await serve({ hub: { metrics, joinLeaveUpTo: 0 } });
  const readers = await Promise.all(Array.from({ length: 50 }, () => rawConnected(server, 'hot')));
  const before = counts.deliveries;
  for (let n = 0; n < 30; n++) server.hub.publish('hot', server.streams.add('hot', String(n)));
  await until(() => readers.every(({ lines }) => lines.filter(({ push }) => push?.pub).length === 30));
  expect(counts.deliveries - before).toBe(1);
  expect(counts.sent.get('push')).toBe(1500);
  for (const { frames } of readers) expect(frames.filter((frame) => frame.includes('"pub"'))).toHaveLength(1);
});

test('a client that goes away while it is slow leaves nothing behind', async () => {
  const server = await serve();
  const slow = await rawConnected(server, 'skippable:c');
  const client = clientOf(server, slow);
  slow.ws.pause();
  await publishUntil(server, 'skippable:c', () => client.isSlow);
  const gone = next(slow.ws, 'close');
  slow.ws.terminate();
  await gone;
  await until(() => server.gateway.connections === 0);
  expect(server.hub.subscriptions).toBe(0);
});

test('who becomes slow again and again before the socket drains leaves one listener on it', () => {
  const socket = new EventEmitter();
  const wire = new Wire({ extensions: 'permessage-deflate', _socket: socket } as unknown as WebSocket);
  const drained: number[] = [];
  for (let n = 1; n <= 20; n++) wire.onceDrained(() => drained.push(n));
  expect(socket.listenerCount('drain')).toBe(1);
  socket.emit('drain');
  wire.onceDrained(() => drained.push(21));
  socket.emit('drain');
  socket.emit('drain');
  expect(drained).toEqual([20, 21]);
});
