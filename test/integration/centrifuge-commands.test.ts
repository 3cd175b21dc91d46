/** The published SDK drives every command against the real gateway, hub and memory streams. */

import { expect, test } from 'vitest';
import { newChannelName } from '../support/channels.ts';
import { next, rawConnected, record, sdk, serve, token, type Loose, type Raw, testAlone } from '../support/protocol.ts';
import { until } from '../support/until.ts';

test('connect gives an id, subscribe a position, and the publisher gets its own publication with its info', async () => {
  const server = await serve();
  const client = sdk(server, { token: await token({ sub: 'ann', info: { name: 'Ann' } }) });
  const connected = next(client, 'connected');
  const subscription = client.newSubscription('news');
  const seen = record(subscription);
  subscription.subscribe();
  client.connect();
  expect((await connected).client).toMatch(/^[0-9a-f-]{36}$/);
  await subscription.ready();
  await subscription.publish({ text: 'hello ✓ 😀' });
  await until(() => seen.data().length === 1);
  const [, context] = seen.events.find(([name]) => name === 'publication')!;
  expect(context).toMatchObject({
    channel: 'news',
    offset: 1,
    data: { text: 'hello ✓ 😀' },
    info: { user: 'ann', connInfo: { name: 'Ann' } },
  });
  const [, subscribed] = seen.events.find(([name]) => name === 'subscribed')!;
  expect(subscribed).toMatchObject({ positioned: true, recoverable: true, wasRecovering: false, recovered: false });
});

test('presence, presence stats, join and leave show who is there, oneself included', async () => {
  const server = await serve();
  const [ann, bob] = [
    sdk(server, { token: await token({ sub: 'ann' }) }),
    sdk(server, { token: await token({ sub: 'bob', info: { n: 1 } }) }),
  ];
  const first = ann.newSubscription('hall');
  const seen = record(first);
  first.subscribe();
  ann.connect();
  await first.ready();
  await until(() => seen.events.some(([name, { info }]) => name === 'join' && info.user === 'ann'));
  expect(seen.events.map(([name]) => name).indexOf('subscribed')).toBeLessThan(seen.events.map(([name]) => name).indexOf('join'));

  const second = bob.newSubscription('hall');
  second.subscribe();
  bob.connect();
  await second.ready();
  await until(() => seen.events.some(([name, { info }]) => name === 'join' && info?.user === 'bob'));
  const { clients } = await first.presence();
  expect(
    Object.values(clients)
      .map(({ user }) => user)
      .toSorted(),
  ).toEqual(['ann', 'bob']);
  expect(Object.values(clients).find(({ user }) => user === 'bob')).toMatchObject({ connInfo: { n: 1 } });
  expect(await ann.presenceStats('hall')).toEqual({ numClients: 2, numUsers: 2 });

  bob.disconnect();
  await until(() => seen.events.some(([name, { info }]) => name === 'leave' && info?.user === 'bob'));
  expect(await first.presenceStats()).toEqual({ numClients: 1, numUsers: 1 });
  expect(await ann.presenceStats('nobody')).toEqual({ numClients: 0, numUsers: 0 });
});

testAlone('beyond the limit joins are not told; whose join was told is also seen to leave, by an abrupt end too', async () => {
  const server = await serve({ hub: { joinLeaveUpTo: 2 } });
  const ann = await rawConnected(server, 'hall');
  const bob = await rawConnected(server, 'hall');
  const told = (what: 'join' | 'leave'): string[] => ann.lines.filter(({ push }) => push?.[what]).map(({ push }) => push[what].info.client);
  const id = ({ lines }: Raw): string => lines[0].connect.client;
  await until(() => told('join').length === 2);
  const others = [await rawConnected(server, 'hall'), await rawConnected(server, 'hall')];

  bob.ws.terminate();
  await until(() => told('leave').length === 1);
  expect(told('leave')).toEqual([id(bob)]);
  for (const { ws } of others) ws.terminate();
  await until(() => server.hub.subscriptions === 1);
  await until(() => told('leave').includes(id(others[0]!)) || told('leave').includes(id(others[1]!)));
  expect(told('join')).toEqual([id(ann), id(bob)]);
});

test('a page of history is cut by its bytes, not its characters', async () => {
  const server = await serve();
  for (let n = 0; n < 12; n++) server.streams.add('wide', JSON.stringify('界'.repeat(32 * 1024)));
  const client = await rawConnected(server);
  client.send({ id: 2, history: { channel: 'wide', limit: -1 } });
  const { history } = await client.reply(2);
  expect(history.publications.map(({ offset }: Loose) => offset)).toEqual([1, 2, 3, 4, 5]);
});

test('history pages forward and backward', async () => {
  const server = await serve({ historySize: 5 });
  const client = sdk(server);
  client.connect();
  const subscription = client.newSubscription('log');
  subscription.subscribe();
  await subscription.ready();
  for (let n = 1; n <= 7; n++) await subscription.publish({ n });
  const offsets = async (options: object): Promise<(number | undefined)[]> =>
    (await subscription.history(options)).publications.map(({ offset }) => offset);

  const top = await subscription.history({});
  expect(top).toMatchObject({ offset: 7, publications: [] });
  const { epoch } = top;
  expect(await offsets({ limit: -1 })).toEqual([3, 4, 5, 6, 7]);
  expect(await offsets({ limit: 2 })).toEqual([3, 4]);
  expect(await offsets({ limit: 2, since: { offset: 4, epoch } })).toEqual([5, 6]);
  expect(await offsets({ limit: 2, reverse: true })).toEqual([7, 6]);
  expect(await offsets({ limit: 10, since: { offset: 5, epoch }, reverse: true })).toEqual([4, 3]);
  expect(await offsets({ limit: 10, since: { offset: 7, epoch } })).toEqual([]);
  await expect(offsets({ limit: 1, since: { offset: 5, epoch: 'other' } })).rejects.toMatchObject({ code: 112 });
  await expect(offsets({ limit: 1, since: { offset: 0, epoch }, reverse: true })).rejects.toMatchObject({ code: 107 });
});

test('rpc without a handler is 108; send closes with 3508', async () => {
  const server = await serve();
  const client = sdk(server);
  client.connect();
  await expect(client.rpc('anything', {})).rejects.toMatchObject({ code: 108 });
  const disconnected = next(client, 'disconnected');
  await client.send({});
  expect(await disconnected).toMatchObject({ code: 3508, reason: 'not available' });
});

test('a channel can be left and entered again, many times in a row', async () => {
  const server = await serve();
  const client = sdk(server);
  client.connect();
  const subscription = client.newSubscription('door');
  for (let turn = 0; turn < 10; turn++) {
    subscription.subscribe();
    subscription.unsubscribe();
  }
  subscription.subscribe();
  await subscription.ready();
  expect(await subscription.presenceStats()).toMatchObject({ numClients: 1 });
  subscription.unsubscribe();
  await until(async () => (await client.presenceStats('door')).numClients === 0);
  expect(server.hub.subscriptions).toBe(0);
});

test('refusals by the server', async () => {
  const server = await serve({
    gateway: { limits: { subscriptions: 2, connectionsPerUser: 20, connectionsPerAddress: 20, handshakes: 100 } },
  });
  const client = await rawConnected(server, 'a');
  client.send(
    { id: 3, subscribe: { channel: 'a' } },
    { id: 4, subscribe: { channel: 'b' } },
    { id: 5, subscribe: { channel: 'c' } },
    { id: 6, subscribe: { channel: 'x'.repeat(256) } },
    { id: 7, subscribe: { channel: 'm', type: 1 } },
    { id: 8, subscribe: { channel: 'm', type: 4 } },
    { id: 9, publish: { channel: 'a', data: 1, type: 1 } },
    { id: 10, publish: { channel: 'a' } },
    { id: 11, unsubscribe: { channel: 'never' } },
    { id: 12, sub_refresh: { channel: 'never', token: 't' } },
  );
  const codes = await Promise.all([3, 4, 5, 6, 7, 8, 9, 10, 11, 12].map(async (id) => (await client.reply(id)).error?.code));
  expect(codes).toEqual([105, undefined, 106, 107, 107, 108, 108, 107, undefined, 103]);
  expect(client.lines.filter(({ id }) => id).map(({ id }) => id)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  expect(await client.reply(11)).toEqual({ id: 11, unsubscribe: {} });
});

test('several commands in one frame are answered in order, as few frames, without blank lines', async () => {
  const server = await serve();
  const client = await rawConnected(server);
  const channel = newChannelName();
  const before = client.frames.length;
  client.send(
    { id: 2, subscribe: { channel } },
    { id: 3, publish: { channel, data: { a: 'line\nbreak' } } },
    { id: 4, history: { channel, limit: 10 } },
  );
  await client.reply(4);
  await until(() => client.lines.some(({ push }) => push?.pub));
  const lines = client.frames.slice(before).flatMap((frame) => frame.split('\n'));
  expect(lines.every((line) => line.trim() !== '')).toBe(true);
  const parsed = lines.map((line) => JSON.parse(line));
  const place = (fits: (line: Loose) => boolean): number => parsed.findIndex(fits);
  expect(place(({ id }) => id === 2)).toBeLessThan(place(({ push }) => push?.pub));
  expect(client.frames.length - before).toBeLessThanOrEqual(2);
});

test('the push with the server side data keeps JSON as it came, white space aside', async () => {
  const server = await serve();
  const client = await rawConnected(server, 'raw');
  client.send('{"id":3,"publish":{"channel":"raw","data":{"big":1e3,"text":"\\u2028 \\ud83d\\ude00","list":[1, 2,\t3],"null":null}}}');
  const { push } = await client.line((line) => line.push?.pub);
  expect(push.pub.data).toEqual({ big: 1000, text: '\u2028 😀', list: [1, 2, 3], null: null });
});
