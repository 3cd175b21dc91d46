/** Rights that change on one replica, taken away on another: two hubs on one database that hear each other's notices. */

import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { revocations, type Revocations } from '../../src/actions/revocations.ts';
import { setMembership } from '../../src/data/groups.ts';
import { MemoryBus, MemoryRelay } from '../../src/relay/memory.ts';
import { Notices } from '../../src/relay/notices.ts';
import { freshDatabase } from '../support/database.ts';
import { RawClient } from '../support/rawClient.ts';
import { connectAgent } from '../support/samples.ts';
import { startTestHub, type TestHub } from '../support/testHub.ts';
import { until } from '../support/until.ts';

let here: TestHub;
let there: TestHub;
let rights: Revocations;
const failures: unknown[] = [];

beforeAll(async () => {
  const database = await freshDatabase(afterAll);
  here = await startTestHub(afterAll, { database });
  there = await startTestHub(afterAll, { database });
  const bus = new MemoryBus();
  rights = await rightsOf(here, bus);
  await rightsOf(there, bus);
});

async function rightsOf(hub: TestHub, bus: MemoryBus): Promise<Revocations> {
  const notices = new Notices({ relay: new MemoryRelay(bus), failed: (error) => failures.push(error) });
  afterAll(() => notices.close());
  await notices.start(() => undefined);
  const { sql, directory, samples, conversations, fleet, clock, presence } = hub;
  const rooms = { sql, directory, samples, conversations, fleet, clock };
  return revocations({ hub: hub.hub, directory, notices, rooms, presence, fleet, samples, failed: (error) => void failures.push(error) });
}

async function socketThere(token: string): Promise<RawClient> {
  const client = await RawClient.connect(there.url, token);
  onTestFinished(() => client.close());
  return client;
}

const left = (client: RawClient): (string | undefined)[] => client.pushes.filter((push) => push.unsubscribe).map(({ channel }) => channel);

test('who lost a role is taken out of its rooms, and stays in the others', async () => {
  const person = await there.addPerson('viewer');
  const client = await socketThere(person.accessToken);
  const rooms = [`fleet:${here.group}`, `fleet:${there.group}`, `user:${person.id}`];
  await setMembership(here.sql, here.group, person.id, 'member');
  rights.personChanged(person.id);
  for (const channel of rooms) await until(async () => (await client.call('subscribe', { channel })).error?.code !== 103);
  await here.sql`delete from membership where person = ${person.id} and host_group = ${here.group}`;
  rights.personChanged(person.id);
  await until(() => left(client).length > 0);
  expect(left(client)).toEqual([`fleet:${here.group}`]);
  expect((await client.call('subscribe', { channel: `fleet:${here.group}` })).error?.code).toBe(103);
});

test('who is an admin no more is so at once, for the connection too', async () => {
  const person = await there.addPerson('none');
  await here.sql`update person set admin = true where id = ${person.id}`;
  const client = await socketThere(person.accessToken);
  const channel = `fleet:${here.group}`;
  expect((await client.call('subscribe', { channel })).error).toBeUndefined();
  await here.sql`update person set admin = false where id = ${person.id}`;
  rights.personChanged(person.id);
  await until(() => left(client).includes(channel));
  expect((await client.call('subscribe', { channel })).error?.code).toBe(103);
});

test('sessions, deleted hosts and replaced keys end connections there', async () => {
  const person = await there.addPerson('viewer');
  const client = await socketThere(person.accessToken);
  const [deleted, rekeyed] = [await there.addHost(), await there.addHost()];
  const [gone, old] = [await connectAgent(there, deleted), await connectAgent(there, rekeyed)];
  rights.hostDeleted(deleted.id);
  expect((await until(() => gone.client.closed)).code).toBe(3507);
  // A connection that was announced with the new key already stays.
  const [{ order } = { order: 0 }] = await here.sql<
    { order: number }[]
  >`select announcements::float8 as "order" from host where id = ${rekeyed.id}`;
  rights.keyReplaced(rekeyed.id, order);
  await here.sql`delete from session where id = ${person.session}`;
  rights.sessionsEnded([person.session]);
  expect((await until(() => client.closed)).code).toBe(3500);
  expect(old.client.closed).toBeUndefined();
  rights.keyReplaced(rekeyed.id, order + 1);
  expect((await until(() => old.client.closed)).code).toBe(3507);
  expect(failures).toEqual([]);
});
