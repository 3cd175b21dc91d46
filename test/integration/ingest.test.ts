import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { newId } from '../../src/lib/id.ts';
import { freshDatabase } from '../support/database.ts';
import { RawClient } from '../support/rawClient.ts';
import { connectAgent, someMetrics } from '../support/samples.ts';
import { startTestHub } from '../support/testHub.ts';
import type { TestHub } from '../support/testHub.ts';
import { until } from '../support/until.ts';

let hub: TestHub;
beforeAll(async () => {
  hub = await startTestHub(afterAll, {
    database: await freshDatabase(afterAll),
    gapQuietMs: 300,
    presence: { goneAfterMs: 300, refreshMs: 100, sweepMs: 100 },
  });
});

const stored = (host: string) =>
  hub.sql<{ kind: string; seq: number; at: number; frame: string }[]>`
    select kind, seq, (extract(epoch from at) * 1000)::float8 as at, convert_from(frame, 'UTF8') as frame from sample_hot where host = ${host} order by seq`;

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

test('a reply means committed, and the people in the room see the sample as it was sent', async () => {
  const host = await hub.addHost();
  const agent = await connectAgent(hub, host);
  const watching = await viewer();
  const joined = await watching.call('subscribe', { channel: agent.room });
  expect(joined.subscribe.data).toMatchObject({ id: host.id, name: host.name, sample: null, inventory: null });
  const sample = { ...agent.sample(), extra: { kept: true } };
  expect((await agent.publish(sample)).publish).toEqual({});
  expect((await stored(host.id)).map((row) => JSON.parse(row.frame))).toEqual([sample]);
  await until(() => watching.publications(agent.room).length === 1);
  expect(watching.pushes.find((push) => push.pub)).toMatchObject({ pub: { data: sample, offset: 1 } });
  expect(watching.pushes.find((push) => push.pub)?.pub?.info).toBeUndefined();
  const again = await (await viewer()).call('subscribe', { channel: agent.room });
  expect(again.subscribe).toMatchObject({ epoch: agent.boot, offset: 1, recoverable: true, data: { status: 'online', sample } });
  await agent.client.close();
});

test('a resend is answered, stored once, delivered once', async () => {
  const host = await hub.addHost();
  const agent = await connectAgent(hub, host);
  const watching = await viewer();
  await watching.call('subscribe', { channel: agent.room });
  const first = agent.sample();
  const replies = await Promise.all([agent.publish(first), agent.publish(first), agent.publish(agent.sample()), agent.publish(first)]);
  expect(replies.every((reply) => reply.publish)).toBe(true);
  // The same after a reconnect of the same boot, without anything in between.
  const later = await connectAgent(hub, host, { boot: agent.boot, connection: 2 });
  expect((await later.publish(first)).publish).toEqual({});
  await later.publish(later.sample({ seq: 3 }));
  await until(() => watching.publications(agent.room).length >= 3);
  expect(watching.publications(agent.room).map((data) => data['seq'])).toEqual([1, 2, 3]);
  expect((await stored(host.id)).map((row) => row.seq)).toEqual([1, 2, 3]);
  await later.client.close();
});

test('what is not valid is refused with the field named, others go on', async () => {
  const host = await hub.addHost();
  const agent = await connectAgent(hub, host);
  const bad = async (over: object) => (await agent.publish({ ...agent.sample(), ...over })).error;
  expect(await bad({ metrics: { 'cpu.busy': '0.5' } })).toMatchObject({ code: 107, message: expect.stringContaining('cpu.busy') });
  expect(await bad({ metrics: { 'cpu.busy': null } })).toMatchObject({ code: 107 });
  const many = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`m${i}`, i]));
  expect(await bad({ metrics: many })).toMatchObject({ code: 107, message: expect.stringContaining('2000') });
  expect(await bad({ boot: newId() })).toMatchObject({ code: 107, message: expect.stringContaining('backfill') });
  const hour = await bad({ at: hub.clock.now() + 3_600_000 });
  expect(hour?.code).toBe(400);
  expect(Math.abs(Number(/hub time is (\d+)/.exec(hour!.message)?.[1]) - Date.now())).toBeLessThan(60_000);
  expect(await bad({ at: hub.clock.now() - 3_600_000 })).toMatchObject({ code: 400 });
  expect(await bad({ kind: 'message', text: 'hi' })).toMatchObject({ code: 107 });
  expect((await agent.publish()).publish).toEqual({});
  expect(await bad({ at: hub.clock.now() - 30_000 })).toMatchObject({ code: 107, message: expect.stringContaining('at') });
  const again = agent.sample();
  await agent.publish(again);
  expect(await bad({ ...again, at: again.at + 1 })).toMatchObject({ code: 107, message: expect.stringContaining('seq') });
  expect(await stored(host.id)).toHaveLength(2);
  expect(hub.failures).toEqual([]);
  await agent.client.close();
});

test('one agent that does not wait for replies fills the queue for itself only', async () => {
  const [host, other] = [await hub.addHost(), await hub.addHost()];
  const [agent, quiet] = [await connectAgent(hub, host), await connectAgent(hub, other)];
  const [locked, blocked] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  onTestFinished(() => blocked.resolve());
  const held = hub.sql.begin(async (tx) => {
    await tx`lock table sample_hot in exclusive mode`;
    locked.resolve();
    await blocked.promise;
  });
  await locked.promise;
  const replies = Array.from({ length: 2_100 }, () => agent.publish());
  expect((await replies[2_099])?.error).toMatchObject({ code: 111, temporary: true });
  const patient = quiet.publish();
  await until(() => hub.writer.depth.rows > 2_000);
  blocked.resolve();
  await held;
  expect((await patient).publish).toEqual({});
  const answers = await Promise.all(replies);
  expect(answers.filter((reply) => reply.publish)).toHaveLength((await stored(host.id)).length);
  await Promise.all([agent.client.close(), quiet.client.close()]);
});

test('an agent publishes into its own room and does nothing else', async () => {
  const [host, other] = [await hub.addHost(), await hub.addHost()];
  const agent = await connectAgent(hub, host);
  for (const room of [`host:${other.id}`, `host:${newId()}`, `room:${host.id}`, 'anything', `host:${host.id} `]) {
    expect((await agent.client.publish(room, agent.sample())).error).toMatchObject({ code: 103 });
    expect((await agent.client.call('subscribe', { channel: room })).error?.code).toBe(103);
  }
  expect((await agent.client.call('subscribe', { channel: agent.room })).error?.code).toBe(103);
  expect((await agent.client.call('rpc', { method: 'constructor', data: {} })).error?.code).toBe(108);
  const person = await viewer();
  expect((await person.publish(agent.room, agent.sample())).error?.code).toBe(103);
  expect((await person.call('rpc', { method: 'backfill', data: {} })).error?.code).toBe(108);
  await agent.client.close();
});

test('two samples of one time: the first stays, the second is told', async () => {
  const host = await hub.addHost();
  const agent = await connectAgent(hub, host);
  const first = agent.sample();
  await agent.publish(first);
  const second = await connectAgent(hub, host);
  expect((await second.publish({ ...first, boot: second.boot })).error).toMatchObject({
    code: 107,
    message: expect.stringContaining('time'),
  });
  expect(await stored(host.id)).toHaveLength(1);
  await second.client.close();
});

test('backfill: old boots and late samples are stored, nothing is delivered, one event tells of the gap', async () => {
  const host = await hub.addHost();
  const agent = await connectAgent(hub, host);
  const watching = await viewer();
  await watching.call('subscribe', { channel: agent.room });
  const now = hub.clock.now();
  const oldBoot = newId();
  const late = (seq: number, at: number, over: object = {}) => ({ kind: 'sample', boot: oldBoot, seq, at, metrics: someMetrics, ...over });
  const publications = [
    ...Array.from({ length: 150 }, (_, i) => late(i + 1, now - 600_000 + i * 1000)),
    late(151, now - 25 * 3_600_000),
    late(152, now + 3_600_000),
    late(153, now - 1000, { metrics: { x: 'y' } }),
    'rubbish',
  ];
  const call = () => agent.client.call('rpc', { method: 'backfill', data: { publications } });
  const expected = {
    committed: 150,
    refused: [
      { at: now - 25 * 3_600_000, kind: 'sample', code: 401 },
      { at: now + 3_600_000, kind: 'sample', code: 400 },
      { at: now - 1000, kind: 'sample', code: 107 },
      { at: null, kind: null, code: 107 },
    ],
  };
  expect((await call()).rpc.data).toEqual(expected);
  expect((await call()).rpc.data).toEqual(expected);
  expect(await stored(host.id)).toHaveLength(150);
  const more = Array.from({ length: 301 }, (_, i) => late(i + 200, now - 500_000 + i));
  expect((await agent.client.call('rpc', { method: 'backfill', data: { publications: more } })).error?.code).toBe(107);
  const gaps = await until(async () => {
    const found = await events(host.id, 'gap_filled');
    return found.length > 0 ? found : undefined;
  });
  expect(gaps).toHaveLength(1);
  expect(gaps[0]!.at.getTime()).toBe(now - 600_000);
  expect(gaps[0]!.until!.getTime()).toBe(now - 600_000 + 149_000);
  expect(watching.publications(agent.room)).toEqual([]);
  await agent.client.close();
});

test('backfill tells of what was lost: how many, from when to when, why, in the same event', async () => {
  const host = await hub.addHost();
  const agent = await connectAgent(hub, host);
  const now = hub.clock.now();
  const late = (seq: number, at: number) => ({ kind: 'sample', boot: agent.boot, seq, at, metrics: someMetrics });
  const call = (data: object) => agent.client.call('rpc', { method: 'backfill', data });
  const dropped = [
    { from: now - 900_000, to: now - 700_000, samples: 200, why: 'space' },
    { from: now - 950_000, to: now - 940_000, samples: 3, why: 'damaged' },
  ];
  expect((await call({ publications: [], dropped: [{ ...dropped[0], why: 'boredom' }] })).error).toMatchObject({ code: 107 });
  const publications = [late(1, now - 25 * 3_600_000), late(2, now - 600_000), late(3, now - 599_000)];
  expect((await call({ publications, why: ['restart'], dropped })).rpc.data).toMatchObject({ committed: 2 });
  expect((await call({ publications: [late(4, now - 598_000)], why: ['connection'] })).rpc.data).toEqual({ committed: 1, refused: [] });
  const [gap, ...others] = await until(async () => {
    const found = await events(host.id, 'gap_filled');
    return found.length > 0 ? found : undefined;
  });
  expect(others).toEqual([]);
  expect([gap!.at.getTime(), gap!.until!.getTime()]).toEqual([now - 600_000, now - 598_000]);
  expect(gap!.body.details).toEqual({
    samples: 3,
    why: 'restart,connection',
    lost: 204,
    lostFrom: now - 25 * 3_600_000,
    lostUntil: now - 700_000,
    lostWhy: expect.stringMatching(/^(?=.*space)(?=.*damaged)(?=.*expired)/),
  });
  await agent.client.close();
});

test('a browser that comes back gets what it missed, from memory and from PostgreSQL', async () => {
  const host = await hub.addHost();
  const agent = await connectAgent(hub, host);
  for (let i = 0; i < 20; i++) await agent.publish();
  const recover = async (offset: number, epoch: string) =>
    (await (await viewer()).call('subscribe', { channel: agent.room, recover: true, offset, epoch })).subscribe;
  const seqs = (result: { publications?: { offset: number }[] }) => result.publications?.map((pub) => pub.offset);
  const fromMemory = await recover(12, agent.boot);
  expect(fromMemory.recovered).toBe(true);
  expect(seqs(fromMemory)).toEqual([13, 14, 15, 16, 17, 18, 19, 20]);
  hub.samples.forget(host.id);
  const fromDatabase = await recover(12, agent.boot);
  expect(fromDatabase).toEqual(fromMemory);
  expect((await recover(20, agent.boot)).recovered).toBe(true);
  // This replica may be behind the agent, but not the boot.
  expect((await recover(25, agent.boot)).recovered).toBe(true);
  expect((await recover(3, newId())).recovered).toBeUndefined();
  const history = await (await viewer()).call('history', { channel: agent.room, limit: 3, reverse: true });
  expect(seqs(history.history)).toEqual([20, 19, 18]);
  await agent.client.close();
});

test('rooms without a role are refused alike, whether they exist or not', async () => {
  const host = await hub.addHost();
  const stranger = await viewer('none');
  for (const id of [host.id, newId(), hub.group]) {
    for (const sort of ['host', 'room', 'fleet', 'user']) {
      const channel = `${sort}:${id}`;
      expect((await stranger.call('subscribe', { channel })).error).toEqual({ code: 103, message: 'permission denied' });
      expect((await stranger.call('presence', { channel })).error?.code).toBe(103);
      expect((await stranger.call('history', { channel, limit: 5 })).error?.code).toBe(103);
      expect((await stranger.publish(channel, { kind: 'message', text: 'x' })).error).toEqual({ code: 103, message: 'permission denied' });
    }
  }
});
