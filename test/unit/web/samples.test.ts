import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Sample } from '../../../src/protocol/kinds.ts';
import { SampleStore } from '../../../web/src/state/samples.ts';

const sample = (at: number, metrics: Record<string, number> = { 'cpu.busy': at % 7 }): Sample => ({
  kind: 'sample',
  at,
  seq: at,
  boot: 'b',
  metrics,
});

const timesOf = (store: SampleStore): number[] => [...store.at.subarray(0, store.length)];

test('keeps live samples in order and tells its followers', () => {
  const store = new SampleStore();
  let told = 0;
  store.follow(() => (told += 1));
  store.add([sample(1000)]);
  store.add([sample(2000), sample(3000)]);
  expect(timesOf(store)).toEqual([1000, 2000, 3000]);
  expect(store.latest?.at).toBe(3000);
  expect(told).toBe(2);
});

test('a repetition changes nothing and tells nobody', () => {
  const store = new SampleStore();
  store.add([sample(1000), sample(2000)]);
  const { version } = store;
  store.add([sample(2000), sample(1000), sample(2000)]);
  expect(store.length).toBe(2);
  expect(store.version).toBe(version);
});

test('history that comes after the first live samples leaves no hole and no double', () => {
  const store = new SampleStore();
  store.add([sample(10_000, { a: 1 })]);
  store.add([sample(11_000, { a: 2, b: 3 })]);
  store.add([sample(8000, { a: 8 }), sample(9000, { a: 9, c: 1 }), sample(10_000, { a: 99 })]);
  expect(timesOf(store)).toEqual([8000, 9000, 10_000, 11_000]);
  expect([...store.column('a')!.subarray(0, 4)]).toEqual([8, 9, 1, 2]);
  expect([...store.column('b')!.subarray(0, 4)]).toEqual([NaN, NaN, NaN, 3]);
  expect([...store.column('c')!.subarray(0, 4)]).toEqual([NaN, 1, NaN, NaN]);
  expect(store.latest?.at).toBe(11_000);
});

test('batches in any order and cut end as the same columns', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.integer({ min: 1, max: 5_000 }), { minLength: 1, maxLength: 120 }),
      fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 30 }),
      (times, sizes) => {
        const store = new SampleStore();
        const all = times.map((at) => sample(at, at % 3 === 0 ? { x: at } : { x: at, y: -at }));
        for (let from = 0, turn = 0; from < all.length; turn += 1) {
          const size = sizes[turn % sizes.length]!;
          store.add(all.slice(Math.max(0, from - 2), from + size));
          from += size;
        }
        const sorted = [...times].sort((a, b) => a - b);
        expect(timesOf(store)).toEqual(sorted);
        expect([...store.column('x')!.subarray(0, store.length)]).toEqual(sorted);
        const y = store.column('y');
        sorted.forEach((at, row) => expect(y?.[row] ?? NaN).toEqual(at % 3 === 0 ? NaN : -at));
      },
    ),
  );
});

test('forgets the oldest when full, whichever way they came', () => {
  const store = new SampleStore();
  for (let at = 1; at <= 10_000; at += 1) store.add([sample(at * 1000)]);
  expect(store.length).toBeLessThanOrEqual(4_320);
  expect(store.length).toBeGreaterThanOrEqual(3_700);
  expect(store.at[store.length - 1]).toBe(10_000_000);
  const oldest = store.at[0]!;
  store.add([sample(500)]);
  expect(store.at[store.length - 1]).toBe(10_000_000);
  expect(store.at[0]).toBeGreaterThanOrEqual(Math.min(oldest, 500));
  expect(store.rowNear(10_000_000, 10)).toBe(store.length - 1);
  expect(store.rowNear(10_500_000, 1000)).toBe(-1);
});

test('counts the names it does not keep', () => {
  const store = new SampleStore();
  store.add([sample(1, Object.fromEntries(Array.from({ length: 1_100 }, (_, index) => [`m${index}`, index])))]);
  expect(store.names()).toHaveLength(1_024);
  expect(store.droppedMetrics).toBe(76);
});
