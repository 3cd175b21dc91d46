/** Random lives of a room: whatever is lost, late, doubled or read slowly, no client sees anything twice or misses it untold. */

import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Hub } from '../../src/hub/hub.ts';
import type { Grant } from '../../src/hub/room.ts';
import type { RelayRecord } from '../../src/relay/relay.ts';
import { MemoryRelay } from '../../src/relay/memory.ts';
import { MemoryStreams } from '../../src/streams/memory.ts';
import { FakeClient, type Seen } from '../support/fakeClient.ts';
import { seedFor } from '../support/seed.ts';
import { until } from '../support/until.ts';

const room = 'model';

type Step =
  | { do: 'publish'; count: number }
  /** Taken by the source, never delivered. */
  | { do: 'lose' }
  /** Held back and delivered later, in any order. */
  | { do: 'delay' }
  | { do: 'release'; reversed: boolean }
  | { do: 'repeat'; back: number }
  | { do: 'subscribe'; who: number }
  | { do: 'unsubscribe'; who: number }
  | { do: 'restore' }
  | { do: 'turn' }
  /** Lets so many promises resolve: what is awaited within a turn gets on a little. */
  | { do: 'breath'; promises: number }
  | { do: 'slowReads'; turns: number }
  /** The source does not show its newest publications yet. */
  | { do: 'lag'; behind: number }
  /** The source fails. */
  | { do: 'away'; is: boolean };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('publish' as const), count: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 1, arbitrary: fc.constant<Step>({ do: 'lose' }) },
  { weight: 2, arbitrary: fc.constant<Step>({ do: 'delay' }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('release' as const), reversed: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('repeat' as const), back: fc.integer({ min: 1, max: 5 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('subscribe' as const), who: fc.integer({ min: 0, max: 2 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('unsubscribe' as const), who: fc.integer({ min: 0, max: 2 }) }) },
  { weight: 1, arbitrary: fc.constant<Step>({ do: 'restore' }) },
  { weight: 5, arbitrary: fc.constant<Step>({ do: 'turn' }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('breath' as const), promises: fc.integer({ min: 1, max: 6 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('slowReads' as const), turns: fc.integer({ min: 0, max: 3 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('lag' as const), behind: fc.integer({ min: 0, max: 5 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('away' as const), is: fc.boolean() }) },
);

/** What is wrong with what one client saw, if anything. The data of each publication is its index in `history`. */
function fault(seen: readonly Seen[], history: readonly RelayRecord[]): string | undefined {
  let at: { offset: number; epoch: string } | undefined;
  for (const one of seen) {
    if ('fresh' in one) {
      at = one.fresh;
      continue;
    }
    // A room that nobody knew begins anywhere, and names its epoch.
    if (at && at.epoch !== '' && (one.epoch !== at.epoch || one.offset !== at.offset + 1))
      return `${one.epoch}/${one.offset} after ${at.epoch}/${at.offset}`;
    const published = history[one.data as number];
    if (published?.epoch !== one.epoch || published.offset !== one.offset)
      return `number ${String(one.data)} came as ${one.epoch}/${one.offset}`;
    at = one;
  }
  return undefined;
}

async function live(steps: readonly Step[]): Promise<void> {
  const streams = new MemoryStreams({ size: 12, ttlMs: 60_000 });
  let readTurns = 0;
  let lag = 0;
  let away = false;
  const read = streams.read.bind(streams);
  streams.read = async (...range) => {
    const failed = away;
    const { top, entries } = await read(...range);
    const offset = Math.max(0, top.offset - lag);
    const page = { top: { ...top, offset }, entries: entries.filter((entry) => entry.offset <= offset) };
    for (let left = readTurns; left > 0; left--) await turn();
    if (failed) throw new Error('the source is away');
    return page;
  };
  const hub = new Hub({ relay: new MemoryRelay(), holeWaitMs: 1, spreadMs: 2 });
  await hub.start();
  const grant: Grant = { stream: streams, joinLeave: false, presence: true, skippable: true };
  const clients = [0, 1, 2].map((n) => new FakeClient(hub, String(n), room, grant));

  const history: RelayRecord[] = [];
  let held: RelayRecord[] = [];
  const add = (): RelayRecord => {
    const record = streams.add(room, String(history.length));
    history.push(record);
    return record;
  };
  for (const one of steps) {
    if (one.do === 'publish') for (let n = 0; n < one.count; n++) hub.publish(room, add());
    else if (one.do === 'lose') add();
    else if (one.do === 'delay') held.push(add());
    else if (one.do === 'release') {
      for (const record of one.reversed ? held.toReversed() : held) hub.deliver(room, record);
      held = [];
    } else if (one.do === 'repeat') {
      const record = history.at(-one.back);
      if (record) hub.deliver(room, record);
    } else if (one.do === 'subscribe') void clients[one.who]!.subscribe();
    else if (one.do === 'unsubscribe') clients[one.who]!.unsubscribe();
    else if (one.do === 'restore') {
      streams.reset(room);
      // Deliveries of the old source do not survive its restore.
      held = [];
    } else if (one.do === 'slowReads') readTurns = one.turns;
    else if (one.do === 'lag') lag = one.behind;
    else if (one.do === 'away') away = one.is;
    else if (one.do === 'breath') for (let left = one.promises; left > 0; left--) await Promise.resolve();
    else await turn();
  }

  // Calm returns: everyone who wants to be there ends at the newest publication.
  readTurns = 0;
  lag = 0;
  away = false;
  await until(() => {
    for (const client of clients) void client.subscribe();
    hub.publish(room, add());
    const newest = history.at(-1)!;
    return clients.every(({ seen }) => {
      const last = seen.at(-1);
      return last !== undefined && 'offset' in last && last.epoch === newest.epoch && last.offset >= newest.offset! - 12;
    });
  });
  await hub.close();
  for (const { seen } of clients) expect(fault(seen, history)).toBeUndefined();
}

test('no client sees anything twice, out of order, or misses it untold', async () => {
  await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), live), {
    seed: seedFor('lives of a room'),
    numRuns: 150,
  });
});

test('the check itself notices what it is there for', () => {
  const history = ['e/3', 'e/4', 'e/5', 'f/1', 'f/10'].map((place): RelayRecord => ({
    data: '0',
    epoch: place[0]!,
    offset: Number(place.slice(2)),
  }));
  const one = (offset: number, epoch = 'e'): Seen => ({
    offset,
    epoch,
    data: history.findIndex((record) => record.offset === offset && record.epoch === epoch),
  });
  const fresh: Seen = { fresh: { offset: 3, epoch: 'e' } };
  expect(fault([fresh, one(4), one(5)], history)).toBeUndefined();
  expect(fault([fresh, one(4), one(4)], history)).toBe('e/4 after e/4');
  expect(fault([fresh, one(5)], history)).toBe('e/5 after e/3');
  expect(fault([fresh, one(1, 'f')], history)).toBe('f/1 after e/3');
  expect(fault([fresh, { offset: 4, epoch: 'e', data: 2 }], history)).toBe('number 2 came as e/4');
  expect(fault([fresh, one(4), { fresh: { offset: 9, epoch: 'f' } }, one(10, 'f')], history)).toBeUndefined();
});
