/** Records between replicas that do not arrive: what rooms lack is read from PostgreSQL, once, in order, and nobody begins anew. */

import { afterAll, beforeAll, expect, test } from 'vitest';
import { newId } from '../../src/lib/id.ts';
import type { Sample } from '../../src/protocol/kinds.ts';
import { freshDatabase } from '../support/database.ts';
import { freshStarts, offsetsSeen, startReplicas, type Replica, type Replicas } from '../support/replicas.ts';
import { startTestHub } from '../support/testHub.ts';
import type { TestHub } from '../support/testHub.ts';
import { until } from '../support/until.ts';

let on: TestHub;
beforeAll(async () => {
  on = await startTestHub(afterAll, { database: await freshDatabase(afterAll) });
});

const quick = { everyMs: 50, compareMs: 200, settledMs: 100, silentMs: 150, goneMs: 1_000, afterAwayMs: 300 };

/** Two replicas; the test says what is lost and whether they know it. */
async function pair(): Promise<Replicas & { a: Replica; b: Replica; pipe: { loses: boolean; isAway: boolean } }> {
  const pipe = { loses: false, isAway: false };
  const replicas = await startReplicas(on, {
    count: 2,
    delayMs: () => 1,
    loses: () => pipe.loses,
    catchUp: { areAway: () => pipe.isAway, times: quick },
  });
  const [a, b] = replicas.all as [Replica, Replica];
  return { ...replicas, a, b, pipe };
}

/** The samples of one boot, the next with each call. */
function sampler(): () => Sample {
  const boot = newId();
  let seq = 0;
  return () => ({ kind: 'sample', at: on.clock.now() + seq, seq: ++seq, boot, metrics: { n: seq } });
}

const seesUpTo = (last: number) => Array.from({ length: last }, (_, at) => at + 1);

test('the last messages before a silence are found by comparing, and counted', async () => {
  const { a, b, pipe, caughtUp, dropped } = await pair();
  const { id } = await on.addHost();
  const reader = await b.reader(id);
  await a.post(id, 'arrives');
  await until(() => offsetsSeen(reader).length === 1);
  pipe.loses = true;
  await a.post(id, 'lost');
  await a.post(id, 'lost too');
  await until(() => offsetsSeen(reader).length === 3);
  pipe.loses = false;
  await a.post(id, 'arrives');
  await until(() => offsetsSeen(reader).length === 4);
  expect(offsetsSeen(reader)).toEqual(seesUpTo(4));
  // On a slow machine what arrives may be compared before it does.
  expect(caughtUp['conversation']).toBeGreaterThanOrEqual(2);
  expect([freshStarts(reader), dropped['hole']]).toEqual([1, undefined]);
});

test('a message whose replica died between commit and publishing is found', async () => {
  const { b, caughtUp } = await pair();
  const { id } = await on.addHost();
  const reader = await b.reader(id);
  await on.sql`update room set top = 1 where id = ${id}`;
  await on.sql`insert into publication (room, "offset", data) values (${id}, 1, '{"kind":"message","text":"orphan"}')`;
  await until(() => offsetsSeen(reader).length === 1);
  expect(reader.seen.at(-1)).toMatchObject({ offset: 1, data: { text: 'orphan' } });
  expect(caughtUp).toEqual({ conversation: 1 });
});

test('more than one query gives is read to its end', async () => {
  const { b } = await pair();
  const { id } = await on.addHost();
  const reader = await b.reader(id);
  await on.sql`
    insert into publication (room, "offset", data) select ${id}, n, '{}' from generate_series(1, 700) n`;
  await on.sql`update room set top = 700 where id = ${id}`;
  await until(() => offsetsSeen(reader).length === 700);
  expect(offsetsSeen(reader)).toEqual(seesUpTo(700));
  expect(freshStarts(reader)).toBe(1);
});

test('while nothing arrives, the rooms of other replicas go on, and each publication is seen once when it does again', async () => {
  const { a, b, pipe, dropped } = await pair();
  const { id } = await on.addHost();
  const next = sampler();
  const [watcher, reader, home] = await Promise.all([b.watcher(id), b.reader(id), a.watcher(id)]);
  await a.sample(id, next());
  await until(() => offsetsSeen(watcher).length === 1);
  Object.assign(pipe, { loses: true, isAway: true });
  for (let n = 2; n <= 5; n++) {
    await a.sample(id, next());
    await a.post(id, `message ${n}`);
    await until(() => offsetsSeen(watcher).length === n && offsetsSeen(reader).length === n - 1);
  }
  Object.assign(pipe, { loses: false, isAway: false });
  for (let n = 6; n <= 9; n++) {
    await a.sample(id, next());
    await a.post(id, `message ${n}`);
  }
  await until(() => offsetsSeen(watcher).length === 9 && offsetsSeen(reader).length === 8);
  for (const seer of [watcher, home]) expect(offsetsSeen(seer)).toEqual(seesUpTo(9));
  expect(offsetsSeen(reader)).toEqual(seesUpTo(8));
  expect([freshStarts(watcher), freshStarts(reader), dropped['hole'], dropped['epoch']]).toEqual([1, 1, undefined, undefined]);
});

test('a host whose last samples were lost is looked after although nobody knows that the pipe is broken', async () => {
  const { a, b, pipe, caughtUp } = await pair();
  const { id } = await on.addHost();
  const next = sampler();
  const watcher = await b.watcher(id);
  await a.sample(id, next());
  await until(() => offsetsSeen(watcher).length === 1);
  pipe.loses = true;
  await a.sample(id, next());
  await a.sample(id, next());
  await until(() => offsetsSeen(watcher).length === 3);
  expect(offsetsSeen(watcher)).toEqual([1, 2, 3]);
  expect(caughtUp['sample']).toBeGreaterThanOrEqual(2);
});

test('what another reader fetched is shown to those who were there before', async () => {
  const { a, b, pipe } = await pair();
  const { id } = await on.addHost();
  const next = sampler();
  const watcher = await b.watcher(id);
  await a.sample(id, next());
  await until(() => offsetsSeen(watcher).length === 1);
  pipe.loses = true;
  for (let n = 2; n <= 4; n++) await a.sample(id, next());
  b.samples.forget(id);
  const late = await b.watcher(id);
  await until(() => offsetsSeen(watcher).length === 4);
  expect(offsetsSeen(watcher)).toEqual([1, 2, 3, 4]);
  expect(late.position).toMatchObject({ offset: 4 });
});

test('a host that was unknown when its room was entered is shown from its first sample', async () => {
  const { a, b, pipe } = await pair();
  const { id } = await on.addHost();
  Object.assign(pipe, { loses: true, isAway: true });
  const watcher = await b.watcher(id);
  const next = sampler();
  await a.sample(id, next());
  await until(() => offsetsSeen(watcher).length === 1);
  await a.sample(id, next());
  await until(() => offsetsSeen(watcher).length === 2);
  expect(offsetsSeen(watcher)).toEqual([1, 2]);
});

test('while PostgreSQL is away it is told once, and looking goes on when it is back', async () => {
  const { a, b, pipe, failures } = await pair();
  const { id } = await on.addHost();
  const reader = await b.reader(id);
  await on.sql`alter table publication rename to publication_away`;
  await until(() => failures.length > 0);
  const followed = b.hub.followed.bind(b.hub);
  let looks = 0;
  b.hub.followed = () => {
    looks++;
    return followed();
  };
  await until(() => looks > 20);
  expect(failures).toHaveLength(1);
  await on.sql`alter table publication_away rename to publication`;
  pipe.loses = true;
  await a.post(id, 'lost');
  await until(() => offsetsSeen(reader).length === 1);
});

test('who heard more of a host on another replica is believed, and sees nothing twice', async () => {
  const { a, b } = await pair();
  const { id } = await on.addHost();
  const next = sampler();
  const there = await b.watcher(id);
  const samples = Array.from({ length: 6 }, next);
  for (const sample of samples.slice(0, 3)) await a.sample(id, sample);
  await until(() => offsetsSeen(there).length === 3);
  const ahead = await b.watcher(id, { offset: 5, epoch: samples[0]!.boot });
  for (const sample of samples.slice(3)) await a.sample(id, sample);
  await until(() => offsetsSeen(ahead).length === 1 && offsetsSeen(there).length === 6);
  expect(ahead.seen).toMatchObject([{ offset: 6 }]);
});

test('who heard more of a conversation on another replica gets it confirmed by PostgreSQL, or begins anew', async () => {
  const { a, b, pipe } = await pair();
  const { id } = await on.addHost();
  await b.reader(id);
  pipe.loses = true;
  await a.post(id, 'heard elsewhere');
  const { epoch } = on.conversations;
  const back = await b.reader(id, { offset: 1, epoch });
  const restored = await b.reader(id, { offset: 7, epoch });
  await until(() => restored.seen.length > 0);
  expect([back.seen, restored.seen]).toEqual([[], [{ fresh: { offset: 1, epoch } }]]);
});
