/** Order and recovery as pure functions: whatever arrives in whatever way, nothing twice and no silent hole. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { maxHeld, Order } from '../../src/hub/position.ts';
import { maxRecovered, start } from '../../src/hub/recovery.ts';
import type { StreamEntry } from '../../src/hub/stream.ts';
import { seedFor } from '../support/seed.ts';

/** Feeds offsets in; gives back what came out. */
function feed(order: Order<number>, offsets: Iterable<number>, epoch = 'e'): number[] {
  const out: number[] = [];
  for (const offset of offsets) if (order.take(epoch, offset, offset) === 'deliver') out.push(offset, ...order.release());
  return out;
}

test('an unknown room accepts any first offset, then only what follows', () => {
  const order = new Order<number>();
  expect(feed(order, [57, 57, 56, 58, 60, 59])).toEqual([57, 58, 59, 60]);
  expect(order).toMatchObject({ epoch: 'e', offset: 60, known: true, hole: undefined });
});

test('a known position is not forgotten', () => {
  const order = new Order<number>();
  order.know({ epoch: '', offset: 0 });
  expect(order.known).toBe(false);
  order.know({ epoch: 'e', offset: 5 });
  order.know({ epoch: 'f', offset: 9 });
  expect(feed(order, [4, 5, 6])).toEqual([6]);
});

test('holes are named, filled, or skipped', () => {
  const order = new Order<number>();
  expect(feed(order, [1, 4, 7])).toEqual([1]);
  expect(order.hole).toEqual({ since: 1, until: 7 });
  expect(order.fill([2, 3, 5].map((offset) => ({ offset, entry: offset })))).toEqual([2, 3, 4, 5]);
  expect(order.hole).toEqual({ since: 5, until: 7 });
  order.skip();
  expect(order).toMatchObject({ offset: 7, hole: undefined });
  expect(feed(order, [6, 7, 8])).toEqual([8]);
});

test('another epoch turns the room once; stragglers of the old one stay duplicates, its continuation turns back', () => {
  const order = new Order<number>();
  feed(order, [1, 2, 3]);
  expect(order.take('f', 1, 1)).toBe('turned');
  expect(order.take('f', 2, 2)).toBe('deliver');
  expect(order.take('e', 3, 3)).toBe('duplicate');
  expect(order.take('e', 4, 4)).toBe('turned');
  expect(order.take('f', 2, 2)).toBe('duplicate');
});

test('no more than a recovery may have is held', () => {
  const order = new Order<number>();
  feed(order, [1]);
  const verdicts = Array.from({ length: maxHeld + 1 }, (_, at) => order.take('e', at + 3, at + 3));
  expect(verdicts.slice(0, -1).every((verdict) => verdict === 'held')).toBe(true);
  expect(verdicts.at(-1)).toBe('overflow');
});

test('any shuffle with duplicates comes out ascending, each once, complete when all arrived', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 300 }),
      fc.integer({ min: 0, max: 60 }),
      (arrivals, known) => {
        const order = new Order<number>();
        order.know({ epoch: 'e', offset: known });
        const out = feed(order, arrivals);
        expect(out).toEqual(out.map((_, at) => known + 1 + at));
        const arrived = new Set(arrivals);
        let reach = known;
        while (arrived.has(reach + 1)) reach++;
        expect(order.offset).toBe(reach);
      },
    ),
    { seed: seedFor('order') },
  );
});

const entries = (from: number, to: number): StreamEntry[] =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, at) => ({ offset: from + at, data: String(from + at) }));
const wish = (offset: number, epoch = 'e', recover = true) => ({ recover, offset, epoch });
const page = (top: number, from: number, epoch = 'e') => ({ top: { epoch, offset: top }, entries: entries(from, top) });

test.each([
  ['nothing missed', wish(5), page(5, 6), false, true, 0],
  ['two missed', wish(3), page(5, 4), false, true, 2],
  ['from the very beginning, epoch not known', wish(0, ''), page(2, 1), false, true, 2],
  ['another epoch', wish(5, 'x'), page(5, 6), false, false, 0],
  ['the first is gone', wish(1), page(5, 3), false, false, 0],
  ['all are gone', wish(1), page(5, 6), false, false, 0],
  ['ahead of a restored source', wish(9), page(5, 6), false, false, 0],
  ['ahead of a replica that is behind', wish(9), page(5, 6), true, true, 0],
  ['ahead, but without an epoch to be sure', wish(9, ''), page(5, 6), true, false, 0],
  ['ahead of a replica that knows nothing', wish(9), page(0, 1, ''), true, false, 0],
  ['not asked', wish(3, 'e', false), page(5, 6), false, false, 0],
])('recovery: %s', (_what, asked, read, trusts, recovered, count) => {
  const result = start(asked, read, [], trusts);
  expect([result.recovered, result.publications.length]).toEqual([recovered, count]);
  expect(result.position.offset).toBe(recovered ? asked.offset : read.top.offset);
});

test('recovery merges what was published meanwhile, or finds the hole', () => {
  const live = (from: number, to: number, epoch = 'e') => entries(from, to).map((entry) => ({ ...entry, epoch }));
  expect(start(wish(3), page(5, 4), live(5, 7), false)).toMatchObject({ recovered: true, upTo: 7, publications: entries(4, 7) });
  expect(start(wish(3), page(5, 4), live(7, 8), false)).toMatchObject({ recovered: false, position: { offset: 8 } });
  expect(start(wish(3), page(5, 4), live(1, 1, 'f'), false)).toMatchObject({ recovered: false, position: { epoch: 'f', offset: 1 } });
  expect(start(wish(0, '', false), page(5, 6), live(6, 7), false)).toMatchObject({ recovered: false, position: { epoch: 'e', offset: 7 } });
});

test('recovery is all or nothing within its caps', () => {
  expect(start(wish(0), page(maxRecovered, 1), [], false).recovered).toBe(true);
  expect(start(wish(0), { top: { epoch: 'e', offset: maxRecovered + 1 }, entries: entries(1, maxRecovered) }, [], false).recovered).toBe(
    false,
  );
  const large = { top: { epoch: 'e', offset: 3 }, entries: entries(1, 3).map((entry) => ({ ...entry, data: `"${'x'.repeat(100_000)}"` })) };
  expect(start(wish(0), large, [], false).recovered).toBe(false);
  expect(start(wish(1), { ...large, entries: large.entries.slice(1) }, [], false).recovered).toBe(true);
});
