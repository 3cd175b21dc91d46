/** The published SDK comes back after losses: nothing twice, nothing missing, or told that something is. */

import { expect, test } from 'vitest';
import type { Centrifuge, Subscription } from 'centrifuge';
import type { ConformanceServer } from '../../src/conformance/server.ts';
import { MemoryStreams } from '../../src/streams/memory.ts';
import { next, rawConnected, record, sdk, serve, type Loose } from '../support/protocol.ts';
import { until } from '../support/until.ts';

/** Publishes as another source would: into the stream, then into the room. */
function publish(server: ConformanceServer, channel: string, data: unknown): void {
  server.hub.publish(channel, server.streams.add(channel, JSON.stringify(data)));
}

async function subscribed(
  server: ConformanceServer,
  channel: string,
  client: Centrifuge = sdk(server),
): Promise<{ client: Centrifuge; subscription: Subscription; seen: ReturnType<typeof record> }> {
  const subscription = client.newSubscription(channel);
  const seen = record(subscription);
  subscription.subscribe();
  client.connect();
  await subscription.ready();
  return { client, subscription, seen };
}

/** Cuts all connections without a closing handshake. */
function cut(server: ConformanceServer): void {
  for (const client of server.hub.clients()) client.wire.ws.terminate();
}

const last = (seen: ReturnType<typeof record>, event: string): Loose => seen.events.findLast(([name]) => name === event)?.[1];
const times = (seen: ReturnType<typeof record>, event: string): number => seen.events.filter(([name]) => name === event).length;

test('after a dropped connection everything missed comes, once and in order', async () => {
  const server = await serve();
  const { client, seen } = await subscribed(server, 'feed');
  for (let n = 1; n <= 3; n++) publish(server, 'feed', n);
  await until(() => seen.data().length === 3);
  cut(server);
  await next(client, 'connecting');
  for (let n = 4; n <= 40; n++) publish(server, 'feed', n);
  await until(() => times(seen, 'subscribed') === 2);
  publish(server, 'feed', 41);
  await until(() => seen.data().length >= 41);
  expect(seen.data()).toEqual(Array.from({ length: 41 }, (_, at) => at + 1));
  expect(last(seen, 'subscribed')).toMatchObject({ wasRecovering: true, recovered: true });
});

test('publishing while clients come and go never loses or repeats anything', async () => {
  const server = await serve({ historySize: 300 });
  const readers = await Promise.all([1, 2, 3].map(() => subscribed(server, 'busy')));
  let n = 0;
  const timer = setInterval(() => {
    for (let burst = 0; burst < 3; burst++) publish(server, 'busy', ++n);
  }, 2);
  for (let round = 2; round <= 5; round++) {
    cut(server);
    await until(() => readers.every(({ seen }) => times(seen, 'subscribed') === round));
  }
  clearInterval(timer);
  publish(server, 'busy', ++n);
  for (const { seen } of readers) {
    await until(() => seen.data().at(-1) === n);
    if (seen.events.every(([name, context]) => name !== 'subscribed' || !context.wasRecovering || context.recovered)) {
      expect(seen.data()).toEqual(Array.from({ length: n }, (_, at) => at + 1).slice(n - seen.data().length));
    }
  }
});

test('a gap longer than the history is told, never filled in part', async () => {
  const server = await serve({ historySize: 5 });
  const { seen, subscription } = await subscribed(server, 'small');
  publish(server, 'small', 1);
  await until(() => seen.data().length === 1);
  subscription.unsubscribe();
  await until(() => server.hub.subscriptions === 0);
  for (let n = 2; n <= 8; n++) publish(server, 'small', n);
  subscription.subscribe();
  await subscription.ready();
  expect(last(seen, 'subscribed')).toMatchObject({ wasRecovering: true, recovered: false, streamPosition: { offset: 8 } });
  publish(server, 'small', 9);
  await until(() => seen.data().length === 2);
  expect(seen.data()).toEqual([1, 9]);
});

test('another epoch is told: recovery fails, and a living subscription begins anew', async () => {
  const server = await serve({ hub: { spreadMs: 20 } });
  const { seen } = await subscribed(server, 'restored');
  publish(server, 'restored', 1);
  await until(() => seen.data().length === 1);
  server.streams.reset('restored');
  publish(server, 'restored', 'of the new epoch');
  await until(() => times(seen, 'subscribed') === 2);
  expect(last(seen, 'subscribing')).toMatchObject({ code: 2500 });
  expect(last(seen, 'subscribed')).toMatchObject({ wasRecovering: true, recovered: false });
  publish(server, 'restored', 'live again');
  await until(() => seen.data().length === 2);
  expect(seen.data()).toEqual([1, 'live again']);
});

test('a hole is filled from the stream, in order, without the client noticing', async () => {
  const server = await serve({ hub: { holeWaitMs: 20 } });
  const { seen } = await subscribed(server, 'holed');
  publish(server, 'holed', 1);
  const lost = [2, 3].map((n) => server.streams.add('holed', JSON.stringify(n)));
  publish(server, 'holed', 4);
  await until(() => seen.data().length === 4);
  for (const late of lost) server.hub.deliver('holed', late);
  publish(server, 'holed', 5);
  await until(() => seen.data().length === 5);
  expect(seen.data()).toEqual([1, 2, 3, 4, 5]);
  expect(times(seen, 'subscribed')).toBe(1);
});

test('publications that arrive out of order are put in order', async () => {
  const server = await serve();
  const { seen } = await subscribed(server, 'mixed');
  const records = [1, 2, 3, 4, 5].map((n) => server.streams.add('mixed', JSON.stringify(n)));
  for (const at of [0, 2, 1, 4, 4, 3, 0]) server.hub.deliver('mixed', records[at]!);
  await until(() => seen.data().length === 5);
  expect(seen.data()).toEqual([1, 2, 3, 4, 5]);
});

test('a hole that nothing can fill ends in push 2500 and a subscription that says so', async () => {
  const server = await serve({ hub: { holeWaitMs: 20, spreadMs: 20 }, historySize: 2 });
  const { seen } = await subscribed(server, 'torn');
  publish(server, 'torn', 1);
  for (let n = 2; n <= 9; n++) server.streams.add('torn', JSON.stringify(n));
  publish(server, 'torn', 10);
  await until(() => times(seen, 'subscribed') === 2);
  expect(last(seen, 'subscribing')).toMatchObject({ code: 2500, reason: 'insufficient state' });
  expect(last(seen, 'subscribed')).toMatchObject({ wasRecovering: true, recovered: false });
  publish(server, 'torn', 11);
  await until(() => seen.data().length === 2);
  expect(seen.data()).toEqual([1, 11]);
});

test('what is published while the history is read stands in the reply or behind it, once', async () => {
  const server = await serve();
  const release = Promise.withResolvers<void>();
  const read = MemoryStreams.prototype.read;
  server.streams.read = async function slowRead(...range) {
    const page = await read.apply(this, range);
    await release.promise;
    return page;
  };
  for (let n = 1; n <= 3; n++) publish(server, 'slow', n);
  const { epoch } = server.streams.add('slow', '4');
  const client = await rawConnected(server);
  client.send({ id: 5, subscribe: { channel: 'slow', recover: true, offset: 1, epoch } });
  await until(() => server.hub.subscriptions === 1);
  publish(server, 'slow', 5);
  publish(server, 'slow', 6);
  release.resolve();
  publish(server, 'slow', 7);
  const { subscribe } = await client.reply(5);
  await until(() => client.lines.some(({ push }) => push?.pub?.data === 7) || subscribe.publications.some(({ data }: Loose) => data === 7));
  const inReply = subscribe.publications.map(({ data }: Loose) => data);
  const pushed = client.lines.filter(({ push }) => push?.pub).map(({ push }) => push.pub.data);
  expect(subscribe).toMatchObject({ recovered: true, was_recovering: true, offset: 1 });
  expect([...inReply, ...pushed]).toEqual([2, 3, 4, 5, 6, 7]);
  expect(client.lines.findIndex(({ id }) => id === 5)).toBeLessThan(client.lines.findIndex(({ push }) => push) >>> 0);
});

test('flag 2 asks for error 112 instead of a fresh start', async () => {
  const server = await serve();
  publish(server, 'strict', 1);
  const client = await rawConnected(server);
  client.send({ id: 2, subscribe: { channel: 'strict', recover: true, offset: 1, epoch: 'gone', flag: 3 } });
  expect((await client.reply(2)).error).toMatchObject({ code: 112 });
  client.send({ id: 3, subscribe: { channel: 'strict', recover: true, offset: 7, flag: 1 } });
  expect((await client.reply(3)).subscribe).toMatchObject({ was_recovering: true, offset: 1 });
  expect(server.hub.subscriptions).toBe(1);
});

test('a recovery never exceeds 300 publications or 256 KiB', async () => {
  const server = await serve({ historySize: 400 });
  for (let n = 1; n <= 400; n++) publish(server, 'many', n);
  for (let n = 1; n <= 10; n++) publish(server, 'large', 'x'.repeat(30_000));
  const client = await rawConnected(server);
  const recover = (id: number, channel: string, offset: number): void =>
    client.send({ id, subscribe: { channel, recover: true, offset } }, { id: id + 1, unsubscribe: { channel } });
  recover(10, 'many', 99);
  recover(20, 'many', 100);
  recover(30, 'large', 0);
  recover(40, 'large', 2);
  await client.reply(41);
  const results = await Promise.all([10, 20, 30, 40].map(async (id) => (await client.reply(id)).subscribe));
  expect(results.map(({ recovered = false, publications = [] }) => [recovered, publications.length])).toEqual([
    [false, 0],
    [true, 300],
    [false, 0],
    [true, 8],
  ]);
});
