/** What the hub remembers of people, agents and rooms: asked together, forgotten when told, never longer than a token lives. */

import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { Directory } from '../../src/data/directory.ts';
import { insertPerson } from '../../src/data/people.ts';
import { insertSession } from '../../src/data/sessions.ts';
import type { Pool } from '../../src/db/database.ts';
import { newId } from '../../src/lib/id.ts';
import { freshDatabase } from '../support/database.ts';
import { RawClient } from '../support/rawClient.ts';
import { startTestHub, type TestHub } from '../support/testHub.ts';
import { until } from '../support/until.ts';

let hub: TestHub;
beforeAll(async () => {
  hub = await startTestHub(afterAll, { database: await freshDatabase(afterAll) });
});

/** The statements that the pool sends while `run` runs, and that mention one of these tables. */
async function statementsOf(sql: Pool, tables: RegExp, run: () => Promise<unknown>): Promise<string[]> {
  const found: string[] = [];
  const options = sql.options as { debug: unknown };
  options.debug = (_connection: number, statement: string) => void (tables.test(statement) && found.push(statement));
  try {
    await run();
  } finally {
    options.debug = false;
  }
  return found;
}

test('five hundred people who ask at once are a handful of statements, and none when they ask again', async () => {
  const host = await hub.addHost();
  const people = await Promise.all(Array.from({ length: 20 }, () => hub.addPerson('viewer')));
  const sessions = await Promise.all(
    Array.from({ length: 500 }, async (_, n) => {
      const id = newId();
      await insertSession(hub.sql, {
        id,
        person: people[n % 20]!.id,
        tokenHash: randomBytes(32),
        agent: '',
        address: '',
        lifetimeS: 3_600,
      });
      return { id, person: people[n % 20]!.id };
    }),
  );
  const directory = new Directory({ sql: hub.sql });
  const ask = (): Promise<unknown> =>
    Promise.all(
      sessions.map(async ({ id, person }) => {
        expect((await directory.session(id))?.person).toBe(person);
        const place = await directory.host(host.id);
        expect((await directory.room(host.id))?.group).toBe(place?.group);
        expect(await directory.roleIn({ id: person, admin: false }, place!.group)).toBe('viewer');
        expect(await directory.groupNow(hub.group)).toBeDefined();
      }),
    );
  const tables = /\b(session|membership|host|room|host_group)\b/;
  const first = await statementsOf(hub.sql, tables, ask);
  expect(first.length).toBeLessThanOrEqual(10);
  expect(await statementsOf(hub.sql, tables, ask)).toEqual([]);
});

test('what changed is told, and then known', async () => {
  const directory = new Directory({ sql: hub.sql });
  const host = await hub.addHost('before');
  const person = await hub.addPerson('viewer', 'Ada');
  const asker = { id: person.id, admin: false };
  expect((await directory.session(person.session))?.name).toBe('Ada');
  expect(await directory.roleIn(asker, hub.group)).toBe('viewer');
  expect((await directory.host(host.id))?.name).toBe('before');
  expect((await directory.hostKey(host.id))?.publicKey).not.toBeNull();
  expect(await directory.groupNow(hub.group)).toContainEqual({ id: host.id, online: false, lastSampleAt: null });

  await hub.sql`update person set name = 'Grace' where id = ${person.id}`;
  await hub.sql`update membership set role = 'owner' where person = ${person.id}`;
  directory.personChanged(person.id);
  expect((await directory.session(person.session))?.name).toBe('Grace');
  expect(await directory.roleIn(asker, hub.group)).toBe('owner');

  await hub.sql`delete from session where id = ${person.session}`;
  directory.sessionsEnded([person.session]);
  expect(await directory.session(person.session)).toBeUndefined();

  await hub.sql`delete from host where id = ${host.id}`;
  directory.hostChanged(host.id);
  expect(await directory.host(host.id)).toBeUndefined();
  expect(await directory.hostKey(host.id)).toBeUndefined();
  expect(await directory.room(host.id)).toBeUndefined();
  expect((await directory.groupNow(hub.group))?.map(({ id }) => id)).not.toContain(host.id);
});

test('what does not exist is not remembered, and an admin is owner of what does', async () => {
  const directory = new Directory({ sql: hub.sql });
  const id = newId();
  expect(await directory.session(id)).toBeUndefined();
  expect(await directory.roleIn({ id, admin: false }, hub.group)).toBeUndefined();
  expect(await directory.groupNow(id)).toBeUndefined();
  expect(await directory.roleIn({ id, admin: true }, hub.group)).toBe('owner');
  const person = newId();
  await insertPerson(hub.sql, { id: person, email: `${person}@example.org`, name: 'Bob', admin: false, passwordHash: null });
  await insertSession(hub.sql, { id, person, tokenHash: randomBytes(32), agent: '', address: '', lifetimeS: 3_600 });
  expect((await directory.session(id))?.person).toBe(person);
});

test('a change of rights that nobody was told of ends with the token', async () => {
  const host = await hub.addHost();
  const person = await hub.addPerson('viewer');
  const client = await RawClient.connect(hub.url, person.accessToken);
  onTestFinished(() => client.close());
  for (const channel of [`host:${host.id}`, `room:${host.id}`, `user:${person.id}`])
    expect((await client.call('subscribe', { channel })).error).toBeUndefined();
  await hub.sql`delete from membership where person = ${person.id}`;
  const { accessToken } = await hub.accessTokens.issue(person.id, person.session);
  expect((await client.call('refresh', { token: accessToken })).error).toBeUndefined();
  await until(() => client.pushes.filter((push) => push.unsubscribe?.code === 2000).length === 2, 'it is taken out of both rooms');
  expect((await client.call('subscribe', { channel: `host:${host.id}` })).error?.code).toBe(103);

  await hub.sql`delete from session where id = ${person.session}`;
  expect(await client.call('refresh', { token: accessToken }).catch((error: Error) => error.message)).toContain('3500');
});
