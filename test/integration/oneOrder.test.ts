/** Three replicas commit into one conversation at once: everyone sees one order, nobody is told to begin anew. */

import { afterAll, beforeAll, expect, test } from 'vitest';
import { freshDatabase } from '../support/database.ts';
import type { FakeClient } from '../support/fakeClient.ts';
import { offsetsSeen, startReplicas, type Replica } from '../support/replicas.ts';
import { randomOf, seedFor } from '../support/seed.ts';
import { startTestHub } from '../support/testHub.ts';
import type { TestHub } from '../support/testHub.ts';
import { until } from '../support/until.ts';

let on: TestHub;
beforeAll(async () => {
  on = await startTestHub(afterAll, { database: await freshDatabase(afterAll) });
});

const texts = ({ seen }: FakeClient): string[] => seen.flatMap((one) => ('offset' in one ? [(one.data as { text: string }).text] : []));
const upTo = (last: number): number[] => Array.from({ length: last }, (_, at) => at + 1);

/** Three authors on each replica, each posting one after the other. */
async function postAll(all: readonly Replica[], room: string, each: number): Promise<void> {
  await Promise.all(
    all.map(async (replica, at) => {
      const next = Array.from({ length: each }, (_, n) => `${at}:${n}`).values();
      const work = async (): Promise<void> => {
        for (const text of next) await replica.post(room, text);
      };
      await Promise.all([work(), work(), work()]);
    }),
  );
}

test('thousands of messages committed on three replicas at once: one order, each once, not one push 2500', async () => {
  const random = randomOf(seedFor('late relay'));
  const { all, dropped } = await startReplicas(on, { count: 3, delayMs: () => random() * 40 });
  const { id } = await on.addHost();
  const readers = await Promise.all(all.flatMap((replica) => [replica.reader(id), replica.reader(id)]));
  const each = 700;
  await postAll(all, id, each);
  await until(() => readers.every((reader) => offsetsSeen(reader).length === 3 * each), 'everyone has everything', 30_000);
  for (const reader of readers) {
    expect(offsetsSeen(reader)).toEqual(upTo(3 * each));
    expect(texts(reader)).toEqual(texts(readers[0]!));
  }
  expect(dropped).toEqual({});
}, 60_000);

test('what the relay loses under way is read from PostgreSQL, in its place, without a push 2500', async () => {
  const random = randomOf(seedFor('lossy relay'));
  let losing = true;
  const { all, dropped } = await startReplicas(on, { count: 3, delayMs: () => random() * 20, loses: () => losing && random() < 0.05 });
  const { id } = await on.addHost();
  const readers = await Promise.all(all.map((replica) => replica.reader(id)));
  await postAll(all, id, 200);
  losing = false;
  // The last ones may be among the lost: this one shows that they are.
  for (const replica of all) await replica.post(id, 'end');
  await until(() => readers.every((reader) => offsetsSeen(reader).length === 603), 'everyone has everything', 30_000);
  for (const reader of readers) expect(offsetsSeen(reader)).toEqual(upTo(603));
  expect(dropped['hole']).toBeUndefined();
}, 60_000);
