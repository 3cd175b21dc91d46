/** A subscription whose reading was slow, or answered by a source that lags behind what the room has heard already. */

import { expect, onTestFinished, test } from 'vitest';
import { Hub } from '../../src/hub/hub.ts';
import type { Grant } from '../../src/hub/room.ts';
import type { Range, Stream, StreamPage } from '../../src/hub/stream.ts';
import { MemoryRelay } from '../../src/relay/memory.ts';
import { FakeClient } from '../support/fakeClient.ts';
import { until } from '../support/until.ts';

const room = 'r';

/** A hub whose stream answers each reading with what `answer` says at that moment. */
async function hubOn(
  answer: (range: Range) => Promise<StreamPage>,
  spreadMs = 1,
): Promise<{ hub: Hub; client: (id: string) => FakeClient }> {
  const stream: Stream = { read: (_room, range) => answer(range), trustsAhead: false };
  const hub = new Hub({ relay: new MemoryRelay(), holeWaitMs: 1, spreadMs });
  await hub.start();
  onTestFinished(() => hub.close());
  const grant: Grant = { stream, joinLeave: false, presence: true, skippable: false };
  return { hub, client: (id) => new FakeClient(hub, id, room, grant) };
}

const page = (offset: number, epoch = 'e', entries: number[] = []): StreamPage => ({
  top: { offset, epoch },
  entries: entries.map((one) => ({ offset: one, data: String(one) })),
});
const record = (offset: number, epoch = 'e') => ({ offset, epoch, data: String(offset) });

test('who was still reading when a hole was given up begins behind it', async () => {
  const late = Promise.withResolvers<StreamPage>();
  const answers: (() => Promise<StreamPage>)[] = [
    async () => page(5),
    () => late.promise,
    () => Promise.reject(new Error('away')),
    async () => page(8),
  ];
  let errors = 0;
  const { hub, client } = await hubOn(() => {
    const answer = answers.shift();
    if (!answer) return Promise.resolve(page(8));
    errors++;
    return answer();
  });
  const early = client('early');
  await early.subscribe();
  const reading = client('reading');
  const subscribing = reading.subscribe();
  await until(() => errors === 2);
  hub.deliver(room, record(7));
  await until(() => errors >= 4);
  late.resolve(page(5));
  await subscribing;
  hub.deliver(room, record(8));
  await until(() => reading.seen.at(-1) && 'offset' in reading.seen.at(-1)!);
  expect(reading.seen).toEqual([{ fresh: { offset: 7, epoch: 'e' } }, { offset: 8, epoch: 'e', data: 8 }]);
});

test('a source that lags behind the room does not set a subscription back', async () => {
  const { hub, client } = await hubOn(async ({ since }) => page(5, 'e', since === 4 ? [5] : []));
  const early = client('early');
  await early.subscribe();
  hub.deliver(room, record(6));
  hub.deliver(room, record(7));

  const fresh = client('fresh');
  await fresh.subscribe();
  const back = client('back');
  back.position = { offset: 4, epoch: 'e' };
  await back.subscribe();
  hub.deliver(room, record(8));
  await until(() => [early, fresh, back].every(({ seen }) => seen.some((one) => 'offset' in one && one.offset === 8)));
  const both = [{ fresh: { offset: 7, epoch: 'e' } }, { offset: 8, epoch: 'e', data: 8 }];
  expect(fresh.seen).toEqual(both);
  expect(back.seen).toEqual(both);
});

test('a source that still believes in a past epoch is not believed', async () => {
  // Spread so far that the early one stays in the room until the end of the test.
  const { hub, client } = await hubOn(async () => page(5, 'old'), 60_000);
  await client('early').subscribe();
  hub.deliver(room, record(1, 'new'));
  const fresh = client('fresh');
  await fresh.subscribe();
  hub.deliver(room, record(2, 'new'));
  await until(() => fresh.seen.length === 2);
  expect(fresh.seen).toEqual([{ fresh: { offset: 1, epoch: 'new' } }, { offset: 2, epoch: 'new', data: 2 }]);
});
