import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { announceAgents, refreshSeen, type Announcement } from '../../src/data/presence.ts';
import { findHostKeys } from '../../src/data/hosts.ts';
import type { Database } from '../../src/db/database.ts';
import { newId } from '../../src/lib/id.ts';
import { freshDatabase } from '../support/database.ts';
import { RawClient } from '../support/rawClient.ts';
import { connectAgent } from '../support/samples.ts';
import { startTestHub } from '../support/testHub.ts';
import type { TestHub } from '../support/testHub.ts';
import { until } from '../support/until.ts';

let hub: TestHub;
let database: Database;
beforeAll(async () => {
  database = await freshDatabase(afterAll);
  hub = await startTestHub(afterAll, {
    database,
    gapQuietMs: 300,
    presence: { goneAfterMs: 300, refreshMs: 100, sweepMs: 100 },
  });
});

const events = async (host: string, what: string) =>
  (
    await hub.sql<{ body: { what: string; details: Record<string, unknown> }; at: Date; until: Date | null }[]>`
    select body, at, until from message where room = ${host} and kind = 'event' order by "offset"`
  ).filter((row) => row.body.what === what);

async function viewer(role: 'viewer' | 'none' = 'viewer'): Promise<RawClient> {
  const person = await hub.addPerson(role);
  const client = await RawClient.connect(hub.url, person.accessToken);
  onTestFinished(() => client.close());
  return client;
}

test('the newest connection wins and the loser is told', async () => {
  const host = await hub.addHost();
  const first = await connectAgent(hub, host, { connection: 5 });
  await expect(connectAgent(hub, host, { boot: first.boot, connection: 4 })).rejects.toThrow('4500');
  expect((await first.publish()).publish).toEqual({});
  const second = await connectAgent(hub, host, { boot: first.boot, connection: 6 });
  await until(() => first.client.closed);
  expect(first.client.closed).toEqual({ code: 4500, reason: 'replaced' });
  const third = await connectAgent(hub, host);
  await until(() => second.client.closed);
  expect(second.client.closed?.code).toBe(4500);
  expect((await third.publish()).publish).toEqual({});
  await third.client.close();
});

test('a new name of a host reaches its connected agent, for metrics', async () => {
  const host = await hub.addHost();
  const agent = await connectAgent(hub, host);
  await hub.sql`update host set name = 'renamed' where id = ${host.id}`;
  await until(() => hub.presence.sessions().some((session) => session.host === host.id && session.name === 'renamed'));
  await agent.client.close();
});

test('an agent whose host is gone, as if deleted elsewhere, is closed for good', async () => {
  const host = await hub.addHost();
  const agent = await connectAgent(hub, host);
  await hub.sql`delete from host where id = ${host.id}`;
  await until(() => agent.client.closed);
  expect(agent.client.closed?.code).toBe(3507);
});

test('agents that push each other out are told of as sharing one identity', async () => {
  const host = await hub.addHost();
  const agents = [];
  for (let i = 0; i < 4; i++) agents.push(await connectAgent(hub, host));
  await until(async () => (await events(host.id, 'identity_shared')).length === 1);
  await agents[3]!.client.close();
});

test('joined and left are told once, and not for a reconnect', async () => {
  const host = await hub.addHost();
  const agent = await connectAgent(hub, host);
  await until(async () => (await events(host.id, 'agent_joined')).length === 1);
  const watching = await viewer();
  await watching.call('subscribe', { channel: agent.room });
  const present = await watching.call('presence', { channel: agent.room });
  expect(Object.values(present.presence.presence)).toContainEqual(
    expect.objectContaining({ conn_info: { kind: 'agent', name: host.name } }),
  );
  await agent.client.close();
  const back = await connectAgent(hub, host, { boot: agent.boot, connection: 2 });
  await back.client.close();
  await until(async () => (await events(host.id, 'agent_left')).length === 1);
  expect(await events(host.id, 'agent_joined')).toHaveLength(1);
  expect(watching.pushes.filter((push) => push.leave).length).toBe(2);
  await until(() => hub.fleet.summary(host.id)?.status === 'offline');
});

test('an agent left online by a hub that died is swept', async () => {
  const host = await hub.addHost();
  await hub.sql`update host set online = true, seen_at = now() - interval '1 minute' where id = ${host.id}`;
  await until(async () => (await events(host.id, 'agent_left')).length === 1);
});

test('of two hubs one tells that an agent left; none does when it moved', async () => {
  const other = await startTestHub(onTestFinished, {
    database,
    presence: { goneAfterMs: 300, refreshMs: 100, sweepMs: 100 },
  });
  const [moving, leaving] = [await hub.addHost(), await hub.addHost()];
  const [first, gone] = [await connectAgent(hub, moving), await connectAgent(hub, leaving)];
  await until(async () => (await events(moving.id, 'agent_joined')).length + (await events(leaving.id, 'agent_joined')).length === 2);
  const second = await connectAgent(other, moving, { boot: first.boot, connection: 2 });
  // Nobody told this hub: it finds out by itself.
  await until(() => first.client.closed);
  expect(first.client.closed?.code).toBe(4500);
  await gone.client.close();
  await until(async () => (await events(leaving.id, 'agent_left')).length > 0);
  const [row] = await hub.sql<{ online: boolean }[]>`select online from host where id = ${moving.id}`;
  expect(row?.online).toBe(true);
  expect((await second.publish()).publish).toEqual({});
  await hub.sql`update host set online = true, seen_at = now() - interval '1 minute' where id = ${leaving.id}`;
  await until(async () => (await events(leaving.id, 'agent_left')).length === 2);
  // Long enough for the other to look as well.
  await until(async () => (await hub.sql`select from host where id = ${moving.id} and seen_at > now() - interval '100 ms'`).length === 1);
  expect(await events(leaving.id, 'agent_left')).toHaveLength(2);
  expect(await events(moving.id, 'agent_left')).toHaveLength(0);
  await second.client.close();
});

test('a later boot time in the inventory is an event', async () => {
  const host = await hub.addHost();
  const agent = await connectAgent(hub, host);
  const tell = (bootedAt: number) =>
    agent.client.call('rpc', { method: 'inventory', data: { os: 'Debian 13', kernel: '6.18', bootedAt, disks: [] } });
  const bootedAt = hub.clock.now() - 1_000_000;
  expect((await tell(bootedAt)).rpc).toEqual({ data: {} });
  await tell(bootedAt + 900);
  expect(await events(host.id, 'host_booted')).toHaveLength(0);
  await tell(bootedAt + 500_000);
  const [booted] = await events(host.id, 'host_booted');
  expect(booted?.at.getTime()).toBe(bootedAt + 500_000);
  expect((await agent.client.call('rpc', { method: 'inventory', data: [] })).error?.code).toBe(107);
  const disks = Array.from({ length: 200 }, () => ({ device: 'd'.repeat(200), model: 'm'.repeat(200), size: 1 }));
  expect((await agent.client.call('rpc', { method: 'inventory', data: { bootedAt, disks } })).error?.code).toBe(106);
  const many = await Promise.all(Array.from({ length: 50 }, () => tell(bootedAt + 500_000)));
  expect(new Set(many.map((reply) => reply.error?.code))).toEqual(new Set([undefined, 111]));
  await agent.client.close();
});

test('the fleet room tells what changed, and everything to who enters', async () => {
  const host = await hub.addHost();
  const quiet = await hub.addHost('quiet');
  const agent = await connectAgent(hub, host);
  const room = `fleet:${hub.group}`;
  const watching = await viewer();
  await watching.call('subscribe', { channel: room });
  const sample = agent.sample();
  await agent.publish(sample);
  const told = await until(() =>
    watching.publications(room).find((data) => (data['hosts'] as Record<string, { cpu: unknown }>)[host.id]?.cpu === 0.25),
  );
  expect((told['hosts'] as Record<string, unknown>)[host.id]).toEqual({
    status: 'online',
    at: sample.at,
    cpu: 0.25,
    memory: 0.25,
    disk: null,
    receive: 100,
    transmit: 50,
    load: null,
    temperature: null,
    uptime: null,
    alerts: 0,
  });
  const entered = await (await viewer()).call('subscribe', { channel: room });
  expect(entered.subscribe.recoverable).toBeUndefined();
  expect(entered.subscribe.data.hosts).toMatchObject({
    [host.id]: { status: 'online', cpu: 0.25 },
    [quiet.id]: { status: 'never', cpu: null },
  });
  expect((await watching.call('history', { channel: room, limit: 1 })).error?.code).toBe(108);
  expect(hub.fleet.recentCpu(host.id)).toMatchObject({ at: sample.at });
  expect(hub.fleet.recentCpu(host.id)!.values.at(-1)).toBe(0.25);
  await agent.client.close();
});

test('agents that all come back at once, and tell their inventory, are a few statements together', async () => {
  const agents = 120;
  const stored = await freshDatabase(onTestFinished);
  const asked: string[] = [];
  const sql = new Proxy(stored.sql, {
    apply: (target, self, parameters: [TemplateStringsArray]) => {
      asked.push(parameters[0].join('…').replace(/\s+/g, ' ').trim());
      return Reflect.apply(target, self, parameters) as unknown;
    },
  });
  const alone = await startTestHub(onTestFinished, { database: { ...stored, sql } });
  const hosts = await Promise.all(Array.from({ length: agents }, () => alone.addHost()));
  const boots = hosts.map(() => newId());
  const inventory = { hostname: 'one', bootedAt: 1_700_000_000_000 };
  const comeIn = async (connection: number): Promise<RawClient[]> =>
    Promise.all(
      hosts.map(async (host, index) => {
        const client = await RawClient.connect(alone.url, await host.token(), { boot: boots[index], connection });
        expect((await client.call('rpc', { method: 'inventory', data: inventory })).error).toBeUndefined();
        return client;
      }),
    );
  const first = await comeIn(1);
  const joined = async (): Promise<number> =>
    (await stored.sql`select from message where kind = 'event' and body ->> 'what' = 'agent_joined'`).length;
  await until(async () => (await joined()) === agents);
  for (const client of first) client.ws.terminate();
  await until(() => alone.presence.sessions().length === 0);

  asked.length = 0;
  const second = await comeIn(2);
  expect(alone.presence.sessions()).toHaveLength(agents);
  const [{ settled }] = await stored.sql<[{ settled: number }]>`
    select count(*)::int as settled from host where connection = 2 and online and inventory ->> 'hostname' = 'one'`;
  expect(settled).toBe(agents);
  // Announcing, marking online, the inventory; what the hub asks by itself comes in besides.
  expect(asked.length, asked.join('\n')).toBeLessThan(agents / 2);
  expect(await joined()).toBe(agents);
  expect(alone.failures).toEqual([]);
  await Promise.all(second.map((client) => client.close()));
});

test('replicas that announce the same hosts at once do not wait for each other in a circle', async () => {
  const hosts = await Promise.all(Array.from({ length: 40 }, () => hub.addHost()));
  const boots = hosts.map(() => newId());
  const keys = new Map(
    (
      await findHostKeys(
        hub.sql,
        hosts.map(({ id }) => id),
      )
    ).entries(),
  );
  const list = (connection: number): Announcement[] =>
    hosts.map(({ id }, index) => ({ host: id, publicKey: keys.get(id)!.publicKey, boot: boots[index]!, connection }));
  const rounds = Array.from({ length: 20 }, (_, round) => (round % 2 ? list(round).toReversed() : list(round)));
  const held = hosts.map(({ id }) => ({ host: id, order: 1, sampleAt: 0 }));
  await Promise.all(
    rounds.flatMap((announcements, round) => [
      announceAgents(hub.sql, announcements, newId()),
      refreshSeen(hub.sql, round % 2 ? held : held.toReversed()),
    ]),
  );
  const rows = await hub.sql<{ connection: number }[]>`select connection from host where id = any(${hosts.map(({ id }) => id)}::uuid[])`;
  expect(rows.map(({ connection }) => connection)).toEqual(hosts.map(() => 19));
});
