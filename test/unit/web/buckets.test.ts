import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Sample } from '../../../src/protocol/kinds.ts';
import type { Series } from '../../../src/protocol/restHistory.ts';
import { columnsOf } from '../../../web/src/charts/columns.ts';
import type { Series as Drawn } from '../../../web/src/charts/strips.ts';
import { Buckets } from '../../../web/src/state/buckets.ts';
import { SampleStore } from '../../../web/src/state/samples.ts';

const sample = (at: number, metrics: Record<string, number>): Sample => ({ kind: 'sample', at, seq: at, boot: 'b', metrics });
const line = (metric: string): Drawn => ({ label: metric, colour: 1, look: 'line', metrics: [metric], combine: 'sum', format: String });
const past = (at: number[], step: number, avg: (number | null)[]): Series => ({
  tier: '10s',
  step,
  at,
  series: {
    a: { min: avg.map((value) => (value === null ? null : value - 1)), avg, max: avg.map((value) => (value === null ? null : value + 2)) },
  },
});

test('the past comes from the hub, what follows is made of samples', () => {
  const samples = new SampleStore();
  const buckets = new Buckets(samples);
  samples.add([sample(29_000, { a: 99 }), sample(30_000, { a: 1 }), sample(39_999, { a: 4 }), sample(40_000, { a: 7 })]);
  buckets.set(past([0, 10_000, 20_000], 10_000, [10, null, 30]), 30_000);
  expect([...buckets.at.slice(0, buckets.length)]).toEqual([0, 20_000, 30_000, 40_000]);
  expect([...buckets.column('a')!.slice(0, 4)]).toEqual([10, 30, 2.5, 7]);
  expect([...buckets.extremes('a')!.low.slice(0, 4)]).toEqual([9, 29, 1, 7]);
  expect([...buckets.extremes('a')!.high.slice(0, 4)]).toEqual([12, 32, 4, 7]);
  samples.add([sample(41_000, { a: 9 })]);
  expect(buckets.column('a')![3]).toBe(8);
  buckets.close();
  samples.add([sample(50_000, { a: 9 })]);
  expect(buckets.length).toBe(4);
});

test('a gap of buckets is a gap; one uneven second is none', () => {
  const samples = new SampleStore();
  const buckets = new Buckets(samples);
  buckets.set(past([0, 10_000, 20_000, 30_000], 10_000, [1, 2, null, 4]), 60_000);
  const columns = columnsOf(buckets, [line('a')], 0, 60_000);
  expect(columns.holes).toEqual([{ from: 20_000, to: 30_000 }]);
  expect(columns.values[0]).toEqual([1, 2, null, 4]);
  expect(columns.bands[0]).toEqual({ low: [0, 1, null, 3], high: [3, 4, null, 6] });
  expect(columns.highest).toBe(6);
  buckets.set(past([0, 1_000, 2_000, 3_000], 1_000, [1, 2, null, 4]), 60_000);
  expect(columnsOf(buckets, [line('a')], 0, 60_000).holes).toEqual([]);
});

test('late samples in any order give the same buckets as all at once', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.integer({ min: 0, max: 120 }), { minLength: 1, maxLength: 60 }),
      fc.integer({ min: 1, max: 10 }),
      (seconds, parts) => {
        const all = seconds.map((second) => sample(second * 1_000, { a: second % 7, ...(second % 3 === 0 ? { b: second } : {}) }));
        const fill = (groups: Sample[][]): unknown => {
          const samples = new SampleStore();
          const buckets = new Buckets(samples);
          buckets.set({ tier: 'raw', step: 5_000, at: [], series: {} }, 10_000);
          for (const group of groups) samples.add(group);
          return {
            at: [...buckets.at.slice(0, buckets.length)],
            values: ['a', 'b'].map((name) => [
              [...(buckets.column(name)?.slice(0, buckets.length) ?? [])].map((value) => value.toFixed(4)),
              [...(buckets.extremes(name)?.high.slice(0, buckets.length) ?? [])],
            ]),
          };
        };
        const groups = Array.from({ length: parts }, (_, part) => all.filter((_one, index) => index % parts === part));
        expect(fill(groups)).toEqual(fill([all]));
      },
    ),
  );
});
