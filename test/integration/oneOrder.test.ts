/** Three replicas commit into one conversation at once: everyone sees one order, nobody is told to begin anew. */

import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { postMessage } from '../../src/actions/postMessage.ts';
import { receiveRelayed } from '../../src/actions/receiveRelayed.ts';
import { Hub } from '../../src/hub/hub.ts';
import { noMetrics } from '../../src/hub/metrics.ts';
import { newId } from '../../src/lib/id.ts';
import { ConversationStream } from '../../src/streams/conversation.ts';
import { SampleStream } from '../../src/streams/samples.ts';
import { freshDatabase } from '../support/database.ts';
import { FakeClient } from '../support/fakeClient.ts';
import { randomOf, seedFor } from '../support/seed.ts';
import { startTestHub } from '../support/testHub.ts';
import type { TestHub } from '../support/testHub.ts';
import { UnevenBus, UnevenRelay } from '../support/unevenBus.ts';
import type { Unevenness } from '../support/unevenBus.ts';
import { until } from '../support/until.ts';

let first: TestHub;
beforeAll(async () => {
  first = await startTestHub(afterAll, { database: await freshDatabase(afterAll) });
});

interface Replica {
  hub: Hub;
  post(room: string, text: string): Promise<unknown>;
  /** Someone in the conversation on this replica. */
  reader(room: string): Promise<FakeClient>;
}

/** Replicas on one database; `dropped` counts what their hubs dropped, by why. */
async function replicas(size: number, unevenness: Unevenness): Promise<{ all: Replica[]; dropped: Record<string, number> }> {
  const bus = new UnevenBus(unevenness);
  const dropped: Record<string, number> = {};
  const count = (what: string, more: number): void => void (dropped[what] = (dropped[what] ?? 0) + more);
  const { id, name } = await first.addPerson();
  const open = async (): Promise<Replica> => {
    const relay = new UnevenRelay(bus);
    const hub = new Hub({ relay, metrics: { ...noMetrics, dropped: count } });
    const stream = new ConversationStream({ sql: first.sql, epoch: first.conversations.epoch });
    const samples = new SampleStream({ sql: first.sql });
    await hub.start(receiveRelayed({ hub, samples, conversations: stream, dropped: () => count('relay_record', 1) }));
    onTestFinished(async () => {
      await relay.close();
      await hub.close();
    });
    return {
      hub,
      post: (room, text) =>
        postMessage({ sql: first.sql, hub, stream, clock: first.clock }, { author: { id, name }, role: 'member' }, room, {
          text,
          key: newId(),
        }),
      reader: async (room) => {
        const grant = { stream, joinLeave: false, presence: false, skippable: false };
        const client = new FakeClient(hub, newId(), `room:${room}`, grant);
        await client.subscribe();
        return client;
      },
    };
  };
  return { all: await Promise.all(Array.from({ length: size }, open)), dropped };
}

const offsets = ({ seen }: FakeClient): number[] => seen.flatMap((one) => ('offset' in one ? [one.offset] : []));
const texts = ({ seen }: FakeClient): string[] => seen.flatMap((one) => ('offset' in one ? [(one.data as { text: string }).text] : []));

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
  const { all, dropped } = await replicas(3, { delayMs: () => random() * 40 });
  const { id } = await first.addHost();
  const readers = await Promise.all(all.flatMap((replica) => [replica.reader(id), replica.reader(id)]));
  const each = 700;
  await postAll(all, id, each);
  await until(() => readers.every((reader) => offsets(reader).length === 3 * each), 'everyone has everything', 30_000);
  for (const reader of readers) {
    expect(offsets(reader)).toEqual(Array.from({ length: 3 * each }, (_, at) => at + 1));
    expect(texts(reader)).toEqual(texts(readers[0]!));
  }
  expect(dropped).toEqual({});
}, 60_000);

test('what the relay loses under way is read from PostgreSQL, in its place, without a push 2500', async () => {
  const random = randomOf(seedFor('lossy relay'));
  let losing = true;
  const { all, dropped } = await replicas(3, { delayMs: () => random() * 20, loses: () => losing && random() < 0.05 });
  const { id } = await first.addHost();
  const readers = await Promise.all(all.map((replica) => replica.reader(id)));
  await postAll(all, id, 200);
  losing = false;
  // The last ones may be among the lost: this one shows that they are.
  for (const replica of all) await replica.post(id, 'end');
  await until(() => readers.every((reader) => offsets(reader).length === 603), 'everyone has everything', 30_000);
  for (const reader of readers) expect(offsets(reader)).toEqual(Array.from({ length: 603 }, (_, at) => at + 1));
  expect(dropped['hole']).toBeUndefined();
}, 60_000);
