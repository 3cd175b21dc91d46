/** Tokens, pings and closes as the published SDK meets them. */

import { expect, test } from 'vitest';
import { closes } from '../../src/protocol/codes.ts';
import { next, raw, rawConnected, record, sdk, seconds, serve, token, tcp } from '../support/protocol.ts';
import { until } from '../support/until.ts';

test('an expired token is error 109: the client fetches a new one and connects', async () => {
  const server = await serve();
  let fetched = 0;
  const client = sdk(server, {
    token: await token({ sub: 'ann', exp: seconds(-10) }),
    getToken: async () => {
      fetched++;
      return token({ sub: 'ann' });
    },
  });
  client.connect();
  await client.ready();
  expect(fetched).toBe(1);
});

test('invalid tokens close with 3500, whatever is wrong with them', async () => {
  const server = await serve();
  const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from('{"sub":"root"}').toString('base64url')}.`;
  const good = await token({ sub: 'ann' });
  const [header, payload, signature] = good.split('.') as [string, string, string];
  const otherHeader = Buffer.from('{"alg":"HS512"}').toString('base64url');
  const bad = [
    'x',
    unsigned,
    unsigned.replace(/\.$/, '.x'),
    await token({ sub: 'ann' }, 'other secret'),
    `${header}.${Buffer.from('{"sub":"root"}').toString('base64url')}.${signature}`,
    `${otherHeader}.${payload}.${signature}`,
    `${good}x`,
    ` ${good}`,
    await token({ sub: 'ann', exp: 'soon' }),
    await token({ sub: 'ann', nbf: seconds(3600) }),
    'a'.repeat(60_000),
  ];
  for (const wrong of bad) {
    const client = await raw(server.webSocketUrl);
    client.send({ id: 1, connect: { token: wrong } });
    expect(await client.closed, wrong.slice(0, 60)).toEqual({ code: 3500, reason: 'invalid token' });
  }
  const client = sdk(server, { token: 'x' });
  const disconnected = next(client, 'disconnected');
  client.connect();
  expect(await disconnected).toMatchObject({ code: 3500 });
});

test('a token that ends is refreshed while connected; without a refresh the connection ends with 3005', async () => {
  const server = await serve({ gateway: { timings: { expiryGraceMs: 200, sweepMs: 20 } } });
  let fetched = 0;
  const getToken = async (): Promise<string> => {
    fetched++;
    return token({ sub: 'ann', exp: seconds(2) });
  };
  const client = sdk(server, { getToken });
  client.connect();
  await client.ready();
  await until(() => fetched >= 2);
  expect(client.state).toBe('connected');

  const silent = await raw(server.webSocketUrl);
  silent.send({ id: 1, connect: { token: await getToken() } });
  expect((await silent.reply(1)).connect).toMatchObject({ expires: true });
  expect(await silent.closed).toEqual({ code: 3005, reason: 'connection expired' });
});

test('refresh: expected only where a token ends; expired closes 3005, invalid 3500', async () => {
  const server = await serve();
  const refresh = async (tokenNow: string | undefined, later: string): Promise<unknown> => {
    const client = await raw(server.webSocketUrl);
    client.send({ id: 1, connect: { token: tokenNow } });
    await client.reply(1);
    client.send({ id: 2, refresh: { token: later } });
    return Promise.race([client.reply(2).then(({ refresh: result, error }) => result ?? error), client.closed.then(({ code }) => code)]);
  };
  const ending = await token({ sub: 'ann', exp: seconds(100) });
  expect(await refresh(ending, ending)).toMatchObject({ expires: true });
  expect(await refresh(ending, await token({ sub: 'ann', exp: seconds(-100) }))).toBe(3005);
  expect(await refresh(ending, 'nonsense')).toBe(3500);
  expect(await refresh(undefined, ending)).toBe(3501);
});

test('subscription tokens are checked, refreshed, and end with push 2501', async () => {
  const server = await serve({ gateway: { timings: { expiryGraceMs: 200, sweepMs: 20 } } });
  const client = sdk(server);
  client.connect();
  let fetched = 0;
  const subscription = client.newSubscription('vip', {
    getToken: async ({ channel }) => {
      fetched++;
      return token({ channel, exp: seconds(2) });
    },
  });
  const seen = record(subscription);
  subscription.subscribe();
  await subscription.ready();
  await until(() => fetched >= 2);
  expect(seen.events.filter(([name]) => name === 'subscribed')).toHaveLength(1);

  const wrong = client.newSubscription('vip2', { token: await token({ channel: 'other' }) });
  const refused = next(wrong, 'unsubscribed');
  wrong.subscribe();
  expect(await refused).toMatchObject({ code: 103 });

  const silent = await rawConnected(server);
  silent.send({ id: 2, subscribe: { channel: 'vip', token: await token({ channel: 'vip', exp: seconds(1) }) } });
  expect((await silent.reply(2)).subscribe).toMatchObject({ expires: true, ttl: 1 });
  expect((await silent.line(({ push }) => push?.unsubscribe)).push.unsubscribe).toEqual({ code: 2501, reason: 'subscription expired' });
});

test('pings come and are answered; no pong closes with 3012, an unasked one with 3501', async () => {
  const server = await serve({ gateway: { timings: { pingIntervalMs: 100, pongWithinMs: 300, sweepMs: 10 } } });
  const client = sdk(server);
  client.connect();
  await client.ready();
  const silent = await rawConnected(server);
  expect(await silent.closed).toEqual({ code: 3012, reason: 'no pong' });
  expect(silent.frames.filter((frame) => frame === '{}').length).toBeGreaterThanOrEqual(1);
  expect(client.state).toBe('connected');
});

test('an unasked pong closes with 3501', async () => {
  const server = await serve();
  const client = await rawConnected(server);
  client.send('{}');
  expect(await client.closed).toEqual({ code: 3501, reason: 'bad request' });
});

test('with cf_ws_frame_ping_pong the WebSocket itself pings', async () => {
  const server = await serve({ gateway: { timings: { pingIntervalMs: 100, pongWithinMs: 300, sweepMs: 10 } } });
  const client = await raw(`${server.webSocketUrl}?cf_ws_frame_ping_pong=true`);
  client.send({ id: 1, connect: {} });
  expect((await client.reply(1)).connect.ping).toBeUndefined();
  let pings = 0;
  client.ws.on('ping', () => pings++);
  await until(() => pings >= 3);
  expect(client.frames).not.toContain('{}');
});

test('a connection that never connects is closed with 3502', async () => {
  const server = await serve({ gateway: { timings: { staleMs: 100, sweepMs: 10 } } });
  expect(await (await raw(server.webSocketUrl)).closed).toEqual({ code: 3502, reason: 'stale' });
});

test('a client that stops hearing pings reconnects by itself', async () => {
  const server = await serve({ gateway: { timings: { pingIntervalMs: 1000, sweepMs: 10 } } });
  const client = sdk(server, { maxServerPingDelay: 100 });
  client.connect();
  await client.ready();
  for (const one of server.hub.clients()) one.wire.ws.ping = () => undefined;
  const connecting = next(client, 'connecting');
  for (const one of server.hub.clients()) one.write = () => undefined;
  expect(await connecting).toMatchObject({ code: 2 });
});

test.each(Object.entries(closes))('close %s: %o has the effect its range says', async (_name, end) => {
  const server = await serve();
  // 3014 makes the client fetch a new token.
  const client = sdk(server, { getToken: () => token({ sub: 'ann' }) });
  client.connect();
  await client.ready();
  const event = Promise.race([
    next(client, 'connecting').then((context) => ({ ...context, event: 'connecting' })),
    next(client, 'disconnected').then((context) => ({ ...context, event: 'disconnected' })),
  ]);
  for (const one of server.hub.clients()) one.close(end);
  const final = (end.code >= 3500 && end.code < 4000) || end.code >= 4500;
  expect(await event).toMatchObject({ ...end, event: final ? 'disconnected' : 'connecting' });
  if (!final) await client.ready();
});

test('the 21st connection of a user is closed with 3504', async () => {
  const server = await serve({
    gateway: { limits: { subscriptions: 128, connectionsPerUser: 20, connectionsPerAddress: 100, handshakes: 1000 } },
  });
  const jwt = await token({ sub: 'ann' });
  const all = await Promise.all(
    Array.from({ length: 20 }, async () => {
      const client = await raw(server.webSocketUrl);
      client.send({ id: 1, connect: { token: jwt } });
      await client.reply(1);
      return client;
    }),
  );
  const one = await raw(server.webSocketUrl);
  one.send({ id: 1, connect: { token: jwt } });
  expect(await one.closed).toMatchObject({ code: 3504 });
  all[0]!.ws.close();
  await until(() => server.hub.connections.user === 19);
  const again = await raw(server.webSocketUrl);
  again.send({ id: 1, connect: { token: jwt } });
  expect((await again.reply(1)).connect).toBeDefined();
});

test('stopping the server closes everyone with 3001', async () => {
  const server = await serve();
  const clients = await Promise.all([rawConnected(server), rawConnected(server), raw(server.webSocketUrl)]);
  await server.close();
  expect(await Promise.all(clients.map(({ closed }) => closed))).toEqual(clients.map(() => ({ code: 3001, reason: 'shutdown' })));
});

test('a stop that has to cut a connection says so', async () => {
  let incomplete = 0;
  const nothing = (): void => undefined;
  const metrics = { received: nothing, error: nothing, dropped: nothing, drainIncomplete: () => void incomplete++ };
  const server = await serve({ gateway: { metrics } });
  const silent = await tcp(server);
  await until(() => server.gateway.connections === 1);
  await server.gateway.close(50);
  expect(incomplete).toBe(1);
  await until(() => silent.closeCode() !== undefined);
});
