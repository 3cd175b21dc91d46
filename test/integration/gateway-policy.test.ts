/** What the gateway does with an owner's policy: slow replies, agents, failures, members that do not subscribe. */

import { expect, test } from 'vitest';
import type { ConformanceServer } from '../../src/conformance/server.ts';
import type { Grant, Policy } from '../../src/gateway/policy.ts';
import type { Client } from '../../src/hub/client.ts';
import { Closing, Refusal } from '../../src/hub/refusal.ts';
import { closes, errors } from '../../src/protocol/codes.ts';
import { raw, rawConnected, serve } from '../support/protocol.ts';
import { until } from '../support/until.ts';

const grant: Grant = { joinLeave: true, presence: true, skippable: true };

/** A policy where the token is the user's name and `agent` is an agent; the rest as given. */
function policy(parts: Partial<Policy>): Policy {
  return {
    connect: async ({ token = '' }) => ({
      identity: { user: token, kind: token === 'agent' ? 'agent' : 'user', maxFrameBytes: token === 'agent' ? 512 * 1024 : 64 * 1024 },
    }),
    connected: () => undefined,
    disconnected: () => undefined,
    refresh: async () => ({}),
    subscribe: async () => grant,
    subRefresh: async () => ({}),
    publish: async () => undefined,
    read: async () => grant,
    rpc: async (_client, { data }) => data,
    ...parts,
  };
}

async function connected(server: ConformanceServer, token: string): ReturnType<typeof raw> {
  const client = await raw(server.webSocketUrl);
  client.send({ id: 1, connect: { token } });
  await client.reply(1);
  return client;
}

test('a deferred reply holds up neither the next command nor the pongs', async () => {
  const committed: (() => void)[] = [];
  const later = policy({
    publish: () => ({ later: new Promise<void>((resolve) => committed.push(resolve)) }),
    rpc: (_client, { data }) => ({
      later: Promise.reject(data === 'closing' ? new Closing(closes.replaced) : new Refusal(errors.clock, 'clock: 17')),
    }),
  });
  const server = await serve({ gateway: { policy: later } });
  const client = await connected(server, 'agent');
  client.send(
    { id: 2, publish: { channel: 'a', data: 1 } },
    { id: 3, presence: { channel: 'a' } },
    { id: 4, publish: { channel: 'a', data: 2 } },
  );
  await client.reply(3);
  await until(() => committed.length === 2);
  committed[1]!();
  await client.reply(4);
  expect(client.lines.some(({ id }) => id === 2)).toBe(false);
  committed[0]!();
  await client.reply(2);
  client.send({ id: 5, rpc: { data: 'refused' } });
  expect((await client.reply(5)).error).toEqual({ code: 400, message: 'clock: 17' });
  client.send({ id: 6, rpc: { data: 'closing' } });
  expect(await client.closed).toEqual({ code: 4500, reason: 'replaced' });
});

test('what fails for no reason of the client is error 100, logged and counted, and the connection lives on', async () => {
  const logged: string[] = [];
  const counted: string[] = [];
  const failing = policy({
    publish: async () => {
      throw new Error('secret details');
    },
    // No JSON can say it.
    rpc: (_client, { data }) => (data === 'odd' ? { later: Promise.resolve(1n) } : Promise.resolve(data)),
  });
  const log = { error: (_details: object, message: string) => void logged.push(message), warn: () => undefined, debug: () => undefined };
  const metrics = { received: () => undefined, error: (where: string) => void counted.push(where), dropped: () => undefined };
  const server = await serve({ gateway: { policy: failing, log, metrics } });
  const client = await connected(server, 'ann');
  client.send({ id: 2, publish: { channel: 'a', data: 1 } }, { id: 3, rpc: { data: 7 } });
  expect((await client.reply(2)).error).toEqual({ code: 100, message: 'internal server error', temporary: true });
  expect((await client.reply(3)).rpc).toEqual({ data: 7 });
  client.send({ id: 4, rpc: { data: 'odd' } });
  expect((await client.reply(4)).error).toMatchObject({ code: 100 });
  expect([logged, counted]).toEqual([
    ['a command failed', 'a command failed'],
    ['publish', 'rpc'],
  ]);
});

test('a grant whose data fails leaves no subscription behind, and a failing farewell harms nobody', async () => {
  let broken = true;
  const failing = policy({
    subscribe: async () => ({
      ...grant,
      data: () => {
        if (broken) throw new Error('no data');
        return 1;
      },
    }),
    disconnected: () => {
      throw new Error('no farewell');
    },
  });
  const server = await serve({ gateway: { policy: failing } });
  const client = await connected(server, 'ann');
  client.send({ id: 2, subscribe: { channel: 'a' } });
  expect((await client.reply(2)).error).toMatchObject({ code: 100 });
  expect(server.hub.subscriptions).toBe(0);
  broken = false;
  client.send({ id: 3, subscribe: { channel: 'a' } });
  expect((await client.reply(3)).subscribe).toEqual({ data: 1 });
  client.ws.terminate();
  await until(() => server.gateway.connections === 0);
  await connected(server, 'bob');
});

test('agents have their own frame cap and are not counted by address', async () => {
  const limits = { subscriptions: 8, connectionsPerUser: 1, connectionsPerAddress: 1, handshakes: 100 };
  const server = await serve({ gateway: { policy: policy({}), limits } });
  await connected(server, 'ann');
  const agents = await Promise.all(['agent', 'agent', 'agent'].map((token) => connected(server, token)));
  agents[0]!.send({ id: 2, publish: { channel: 'a', data: 'x'.repeat(500_000) } });
  expect(await agents[0]!.reply(2)).toEqual({ id: 2, publish: {} });
  agents[0]!.send({ id: 3, publish: { channel: 'a', data: 'x'.repeat(524_288) } });
  expect((await agents[0]!.closed).code).toBe(1009);
});

test('a member that does not subscribe is in presence, joins and leaves, and receives nothing', async () => {
  const seen: string[] = [];
  const attaching = policy({
    connected: (client: Client) => {
      if (client.identity.kind === 'agent') server.hub.attach(client, 'host:1');
      seen.push(`connected ${client.identity.user}`);
    },
    disconnected: (client: Client) =>
      void seen.push(`disconnected ${client.identity.user}, ${server.hub.presence.here('host:1').people.length} left`),
  });
  const server: ConformanceServer = await serve({ gateway: { policy: attaching } });
  const viewer = await connected(server, 'ann');
  viewer.send({ id: 2, subscribe: { channel: 'host:1' } });
  await viewer.reply(2);
  const agent = await connected(server, 'agent');
  await viewer.line(({ push }) => push?.join?.info.user === 'agent');
  viewer.send({ id: 3, presence: { channel: 'host:1' } });
  expect(Object.values((await viewer.reply(3)).presence.presence)).toHaveLength(2);
  server.hub.publish('host:1', { data: '{"kind":"sample"}', offset: 1, epoch: 'boot' });
  expect((await viewer.line(({ push }) => push?.pub)).push.pub).toEqual({ data: { kind: 'sample' }, offset: 1, epoch: 'boot' });
  expect(agent.lines).toHaveLength(1);
  agent.ws.close();
  await viewer.line(({ push }) => push?.leave?.info.user === 'agent');
  await until(() => seen.length === 3);
  expect(seen).toEqual(['connected ann', 'connected agent', 'disconnected agent, 1 left']);
});

test('rooms without positions deliver and have no history; data of the grant comes with the reply', async () => {
  const fleet = policy({ subscribe: async () => ({ ...grant, data: () => ({ hosts: 3 }) }) });
  const server = await serve({ gateway: { policy: fleet } });
  const client = await connected(server, 'ann');
  client.send(
    { id: 2, subscribe: { channel: 'fleet:1', recover: true, offset: 4, epoch: 'e' } },
    { id: 3, history: { channel: 'fleet:1', limit: 1 } },
  );
  expect((await client.reply(2)).subscribe).toEqual({ data: { hosts: 3 } });
  expect((await client.reply(3)).error).toMatchObject({ code: 108 });
  server.hub.publish('fleet:1', { data: '1' });
  server.hub.publish('fleet:1', { data: '1' });
  await until(() => client.lines.filter(({ push }) => push?.pub).length === 2);
});

test('a subscription ended by the owner is told, and forgotten', async () => {
  const server = await serve();
  const client = await rawConnected(server, 'room');
  const [one] = [...server.hub.clients()];
  server.hub.unsubscribe(one!, 'room', { code: 2100, reason: 'removed from the group' });
  expect((await client.line(({ push }) => push?.unsubscribe)).push.unsubscribe).toEqual({ code: 2100, reason: 'removed from the group' });
  expect(server.hub.presence.here('room')).toEqual({ agents: [], people: [] });
  server.hub.publish('room', server.streams.add('room', '1'));
  client.send({ id: 9, subscribe: { channel: 'room' } });
  await client.reply(9);
  expect(client.lines.some(({ push }) => push?.pub)).toBe(false);
});

test('a connection that goes away during its connect leaves nothing behind', async () => {
  const gate = Promise.withResolvers<void>();
  let asked = 0;
  const slow = policy({
    connect: async () => {
      asked++;
      await gate.promise;
      return { identity: { user: 'ann', kind: 'user', maxFrameBytes: 1000 } };
    },
  });
  const server = await serve({ gateway: { policy: slow } });
  const client = await raw(server.webSocketUrl);
  client.send({ id: 1, connect: {} }, { id: 2, subscribe: { channel: 'a' } });
  await until(() => asked === 1);
  client.ws.terminate();
  await until(() => server.gateway.connections === 0);
  gate.resolve();
  const next = await raw(server.webSocketUrl);
  next.send({ id: 1, connect: {} });
  await next.reply(1);
  expect([server.hub.connections, server.hub.subscriptions]).toEqual([{ agent: 0, user: 1 }, 0]);
});
