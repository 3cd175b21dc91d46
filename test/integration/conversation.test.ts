import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { editOwnMessage, postMessage, removeMessage } from '../../src/actions/postMessage.ts';
import { postEvent } from '../../src/actions/postEvent.ts';
import { readTimeline } from '../../src/actions/readTimeline.ts';
import { emptyRooms, endSessions, recheckRooms } from '../../src/actions/revoke.ts';
import { trimPublications } from '../../src/data/publications.ts';
import type { AppError } from '../../src/errors.ts';
import type { Role } from '../../src/protocol/rest.ts';
import { newId } from '../../src/lib/id.ts';
import type { Message } from '../../src/protocol/kinds.ts';
import { ConversationStream } from '../../src/streams/conversation.ts';
import { freshDatabase } from '../support/database.ts';
import { RawClient } from '../support/rawClient.ts';
import { startTestHub } from '../support/testHub.ts';
import type { TestHub, TestHost } from '../support/testHub.ts';
import { until } from '../support/until.ts';

let hub: TestHub;
beforeAll(async () => {
  hub = await startTestHub(afterAll, { database: await freshDatabase(afterAll) });
});

type Person = Awaited<ReturnType<TestHub['addPerson']>>;

const writer = (person: Person, role: Role | undefined = 'member') => ({ author: { id: person.id, name: person.name }, role });
const code = (promise: Promise<unknown>) =>
  promise.then(
    () => 'done',
    (error: AppError) => error.code,
  );

async function connect(person: Person): Promise<RawClient> {
  const client = await RawClient.connect(hub.url, person.accessToken);
  onTestFinished(() => client.close());
  return client;
}

/** Someone in the room of a new host. */
async function room(role: Role = 'member'): Promise<{ host: TestHost; name: string; person: Person; client: RawClient }> {
  const host = await hub.addHost();
  const person = await hub.addPerson(role);
  const client = await connect(person);
  const name = `room:${host.id}`;
  await client.call('subscribe', { channel: name });
  return { host, name, person, client };
}

test('a message is committed, then shown to everyone with its author, position and key', async () => {
  const { host, name, person, client } = await room();
  const draft = { kind: 'message', text: 'Deploy **v42** ✓', at: 1_700_000_000_000, until: 1_700_000_060_000, key: 'k1' };
  expect((await client.publish(name, draft)).publish).toEqual({});
  const push = await until(() => client.pushes.find((one) => one.pub));
  expect(push.pub).toMatchObject({ offset: 1, data: { ...draft, room: host.id, author: { id: person.id, name: 'Ada' } } });
  expect(push.pub?.info).toMatchObject({ user: person.id, conn_info: { kind: 'user', name: 'Ada' } });
  const { items } = await readTimeline(hub.sql, host.id, {});
  expect(items).toEqual([push.pub?.data]);
});

test('a retry with the same key gets the same message and is not shown again; another author may use the key', async () => {
  const { host, name, person, client } = await room();
  const first = await postMessage(hub.conversation, writer(person), host.id, { text: 'once', key: 'same' });
  const retries = await Promise.all(
    Array.from({ length: 5 }, () => postMessage(hub.conversation, writer(person), host.id, { text: 'once', key: 'same' })),
  );
  expect(first.created).toBe(true);
  for (const retry of retries) expect(retry).toEqual({ message: first.message, created: false });
  expect((await client.publish(name, { text: 'once', key: 'same' })).publish).toEqual({});
  const other = await hub.addPerson();
  expect((await postMessage(hub.conversation, writer(other), host.id, { text: 'mine', key: 'same' })).created).toBe(true);
  await until(() => client.publications(name).length === 2);
  expect(client.pushes.filter((push) => push.pub).map((push) => push.pub?.offset)).toEqual([1, 2]);
});

test('eight authors at once: one order, without a hole, the same for all readers and PostgreSQL', async () => {
  const { host, name, client } = await room();
  const other = await connect(await hub.addPerson('viewer'));
  await other.call('subscribe', { channel: name });
  const authors = await Promise.all(Array.from({ length: 8 }, (_, i) => hub.addPerson('member', `author ${i}`)));
  const sockets = await Promise.all(authors.slice(4).map((person) => connect(person)));
  const rounds = 25;
  await Promise.all([
    ...authors.slice(0, 4).map(async (person) => {
      for (let i = 0; i < rounds; i++)
        await postMessage(hub.conversation, writer(person), host.id, { text: `${person.name} ${i}`, key: `${i}` });
    }),
    ...sockets.map(async (socket, at) => {
      for (let i = 0; i < rounds; i++) expect((await socket.publish(name, { text: `author ${at + 4} ${i}` })).publish).toEqual({});
    }),
  ]);
  await until(() => client.publications(name).length === 8 * rounds && other.publications(name).length === 8 * rounds);
  const texts = (
    await hub.sql<{ text: string }[]>`select body ->> 'text' as text from message where room = ${host.id} order by "offset"`
  ).map((row) => row.text);
  for (const reader of [client, other]) {
    expect(reader.publications(name).map((data) => data['text'])).toEqual(texts);
    expect(reader.pushes.filter((push) => push.pub).map((push) => push.pub?.offset)).toEqual(
      Array.from({ length: 8 * rounds }, (_, i) => i + 1),
    );
  }
  expect(hub.failures).toEqual([]);
});

test('recovery and history read what PostgreSQL has', async () => {
  const { host, name, person } = await room();
  for (let i = 1; i <= 12; i++) await postMessage(hub.conversation, writer(person), host.id, { text: `m${i}` });
  const back = await connect(person);
  const recover = async (offset: number, epoch = hub.conversations.epoch) =>
    (await (await connect(person)).call('subscribe', { channel: name, recover: true, offset, epoch })).subscribe;
  expect((await recover(9)).publications.map((pub: { data: Message }) => pub.data.text)).toEqual(['m10', 'm11', 'm12']);
  expect((await recover(9)).recovered).toBe(true);
  hub.conversations.forget(name);
  expect((await recover(0)).publications).toHaveLength(12);
  // Ahead of the database: it was restored.
  expect((await recover(13)).recovered).toBeUndefined();
  expect((await recover(9, 'life-0')).recovered).toBeUndefined();
  const page = (await back.call('history', { channel: name, limit: 4, since: { offset: 3, epoch: hub.conversations.epoch } })).history;
  expect(page).toMatchObject({ offset: 12, epoch: hub.conversations.epoch });
  expect(page.publications.map((pub: { offset: number }) => pub.offset)).toEqual([4, 5, 6, 7]);
  const backwards = (await back.call('history', { channel: name, limit: 3, reverse: true, since: { offset: 6 } })).history;
  expect(backwards.publications.map((pub: { offset: number }) => pub.offset)).toEqual([5, 4, 3]);
});

test('more than memory keeps is read from PostgreSQL, and the newest thousand survive trimming', async () => {
  const host = await hub.addHost();
  await hub.sql`update room set top = 1400 where id = ${host.id}`;
  await hub.sql`
    insert into publication (room, "offset", at, data) select ${host.id}, n, now() - interval '2 days', '{"n":' || n || '}' from generate_series(1, 1400) n`;
  const stream = new ConversationStream({ sql: hub.sql, epoch: 'life-1' });
  const read = async (range: object) =>
    (await stream.read(`room:${host.id}`, { limit: 300, ...range })).entries.map((entry) => entry.offset);
  expect((await read({ since: 1390 })).at(0)).toBe(1391);
  expect(await read({ since: 5, limit: 2 })).toEqual([6, 7]);
  expect(await read({ reverse: true, since: 1000, limit: 2 })).toEqual([999, 998]);
  expect(await read({ limit: 1 })).toEqual([1]);
  expect(await read({ reverse: true, limit: 1 })).toEqual([1400]);
  expect(await trimPublications(hub.sql, Date.now() - 3 * 86_400_000)).toBe(0);
  expect(await trimPublications(hub.sql, Date.now() - 86_400_000)).toBe(400);
  expect(await read({ limit: 1 })).toEqual([401]);
});

test('a stream that heard of a commit of another replica asks again at once', async () => {
  const { host, name, person } = await room();
  const elsewhere = new ConversationStream({ sql: hub.sql, epoch: 'life-1', freshMs: 60_000 });
  expect((await elsewhere.read(name, { limit: 10 })).top.offset).toBe(0);
  await postMessage(hub.conversation, writer(person), host.id, { text: 'a' });
  await postMessage(hub.conversation, writer(person), host.id, { text: 'b' });
  expect((await elsewhere.read(name, { limit: 10 })).top.offset).toBe(0);
  elsewhere.add(name, { offset: 2, data: '{}' });
  expect((await elsewhere.read(name, { limit: 10 })).entries.map((entry) => entry.offset)).toEqual([1, 2]);
});

test('a text that is deleted while its room is being read is not kept', async () => {
  const { host, name, person } = await room();
  const { message } = await postMessage(hub.conversation, writer(person), host.id, { text: 'a secret' });
  const [read, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const slow = new Proxy(hub.sql, {
    apply: async (target, thisArgument, args: [TemplateStringsArray, ...unknown[]]) => {
      const rows: unknown = await Reflect.apply(target, thisArgument, args);
      if (!args[0].join('').includes('from publication')) return rows;
      read.resolve();
      await go.promise;
      return rows;
    },
  });
  const stream = new ConversationStream({ sql: slow, epoch: 'e', freshMs: 60_000 });
  const early = stream.read(name, { limit: 10 });
  await read.promise;
  await removeMessage({ ...hub.conversation, stream }, writer(person), host.id, message.id);
  go.resolve();
  await early;
  const { entries } = await stream.read(name, { limit: 10 });
  expect(entries.map((entry) => (JSON.parse(entry.data) as Message).text)).toEqual(['', '']);
});

test('the timeline is read by cursor in both directions', async () => {
  const { host, person } = await room();
  const ids: string[] = [];
  for (let i = 0; i < 10; i++) ids.push((await postMessage(hub.conversation, writer(person), host.id, { text: `m${i}` })).message.id);
  const event = await postEvent(hub.conversation, { room: host.id, what: 'agent_joined' });
  const all = [...ids, event.id];
  const page = async (query: object) => {
    const { items, next } = await readTimeline(hub.sql, host.id, query);
    return [items.map((item) => all.indexOf(item.id)), next && all.indexOf(next)];
  };
  expect(await page({ limit: 4 })).toEqual([[7, 8, 9, 10], 7]);
  expect(await page({ limit: 4, before: all[7] })).toEqual([[3, 4, 5, 6], 3]);
  expect(await page({ limit: 4, before: all[3] })).toEqual([[0, 1, 2], null]);
  expect(await page({ limit: 4, after: all[3] })).toEqual([[4, 5, 6, 7], 7]);
  expect(await page({ limit: 4, after: all[7] })).toEqual([[8, 9, 10], null]);
  expect(await page({ limit: 4, around: all[5] })).toEqual([[3, 4, 5, 6], 3]);
  expect(await page({ limit: 1, around: all[5] })).toEqual([[5], 5]);
  expect(await page({ limit: 9, around: all[1] })).toEqual([[0, 1, 2, 3, 4, 5], null]);
  expect(await code(readTimeline(hub.sql, host.id, { before: newId() }))).toBe('invalid');
  expect(await code(readTimeline(hub.sql, host.id, { before: all[0], after: all[1] }))).toBe('invalid');
});

test('edits and deletions go the same way and keep the place', async () => {
  const { host, name, person, client } = await room();
  const { message } = await postMessage(hub.conversation, writer(person), host.id, { text: 'teh' });
  const edited = await editOwnMessage(hub.conversation, writer(person), host.id, message.id, 'the');
  expect(edited).toMatchObject({ id: message.id, text: 'the', editedAt: expect.any(Number) });
  const other = await hub.addPerson();
  expect(await code(editOwnMessage(hub.conversation, writer(other), host.id, message.id, 'x'))).toBe('forbidden');
  expect(await code(removeMessage(hub.conversation, writer(other), host.id, message.id))).toBe('forbidden');
  const removed = await removeMessage(hub.conversation, writer(other, 'owner'), host.id, message.id);
  expect(removed).toMatchObject({ text: '', deletedAt: expect.any(Number) });
  expect(await code(editOwnMessage(hub.conversation, writer(person), host.id, message.id, 'back'))).toBe('not_found');
  await until(() => client.publications(name).length === 3);
  expect(client.publications(name).map((data) => data['text'])).toEqual(['teh', 'the', '']);
  expect((await readTimeline(hub.sql, host.id, {})).items).toEqual([removed]);
  // Nor does anyone who comes back later get the text.
  const history = (await client.call('history', { channel: name, limit: 10 })).history;
  expect(history.publications.map((pub: { data: Message }) => pub.data)).toEqual([removed, removed, removed]);
});

test('who may not, or what is not valid, changes nothing', async () => {
  const { host, name, person, client } = await room('viewer');
  expect(await code(postMessage(hub.conversation, writer(person, 'viewer'), host.id, { text: 'x' }))).toBe('forbidden');
  expect(await code(postMessage(hub.conversation, { ...writer(person), role: undefined }, host.id, { text: 'x' }))).toBe('not_found');
  expect(await code(postMessage(hub.conversation, writer(person), newId(), { text: 'x' }))).toBe('not_found');
  expect(await code(postMessage(hub.conversation, writer(person), host.id, { text: 'x', thread: newId() }))).toBe('invalid');
  expect((await client.publish(name, { text: 'x' })).error?.code).toBe(103);
  const member = await connect(await hub.addPerson());
  expect((await member.publish(name, { text: '' })).error).toMatchObject({ code: 107, message: expect.stringContaining('text') });
  expect((await member.publish(name, { text: 'a\0' })).error?.code).toBe(107);
  expect((await hub.sql`select from publication where room = ${host.id}`).count).toBe(0);
});

test('rights that end while connected end there as well', async () => {
  const { host, name, person, client } = await room();
  await hub.sql`delete from membership where person = ${person.id}`;
  hub.directory.personChanged(person.id);
  await recheckRooms(
    { sql: hub.sql, directory: hub.directory, samples: hub.samples, conversations: hub.conversations, fleet: hub.fleet, clock: hub.clock },
    hub.hub,
    person.id,
  );
  await until(() => client.pushes.some((push) => push.unsubscribe?.code === 2000 && push.channel === name));
  expect((await client.publish(name, { text: 'x' })).error?.code).toBe(103);
  endSessions(hub.hub, [person.session]);
  await until(() => client.closed);
  expect(client.closed?.code).toBe(3500);
  const watching = await connect(await hub.addPerson());
  await watching.call('subscribe', { channel: name });
  emptyRooms(hub.hub, host.id);
  await until(() => watching.pushes.some((push) => push.unsubscribe));
});
