/** Charts without a database: which buckets, from which tier, gathered how. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { chooseGrid } from '../../src/actions/seriesGrid.ts';
import type { GridWish } from '../../src/actions/seriesGrid.ts';
import { segmentsOf } from '../../src/actions/seriesSegments.ts';
import { SeriesTable, TableFull } from '../../src/actions/seriesTable.ts';
import { joinRollups, rollUp } from '../../src/chunks/rollups.ts';
import { tiers } from '../../src/data/tiers.ts';
import type { Tier } from '../../src/data/tiers.ts';
import { fits } from '../../src/lib/glob.ts';
import { seedFor } from '../support/seed.ts';

const s = 1_000;
const m = 60 * s;
const h = 60 * m;
const d = 24 * h;
const kept = { raw: 24 * h, '10s': 7 * d, '1m': 90 * d, '1h': 3 * 365 * d };
const now = 20_000 * d;
const wish = (agoMs: number, lengthMs: number, points: number, over: Partial<GridWish> = {}): GridWish => ({
  fromMs: now - agoMs,
  toMs: now - agoMs + lengthMs,
  points,
  nowMs: now,
  kept,
  ...over,
});
const unlimited = { series: 1e6, buckets: 1e9 };

test.each<[title: string, wish: GridWish, tier: Tier, stepMs: number]>([
  ['five minutes at a second', wish(5 * m, 5 * m, 300), 'raw', s],
  ['a second is the finest', wish(5 * m, 10 * s, 5_000), 'raw', s],
  ['an hour on a screen', wish(h, h, 1_000), 'raw', 5 * s],
  ['an hour, small', wish(h, h, 300), '10s', 20 * s],
  ['a day on a screen', wish(d, d, 1_000), '1m', 2 * m],
  ['a day as fine as it is read', wish(d, d, 5_000), '1m', m],
  ['half a day as fine as it is read', wish(d, 12 * h, 5_000), '1m', m],
  ['five hours as fine as they are read', wish(5 * h, 5 * h, 5_000), '10s', 10 * s],
  ['three hours as fine as they are read', wish(3 * h, 3 * h, 5_000), 'raw', 5 * s],
  ['a day, tiny', wish(d, d, 24), '1h', h],
  ['a week', wish(7 * d, 7 * d, 1_000), '1m', 20 * m],
  ['a month: a chart does not read every minute of it', wish(30 * d, 30 * d, 2_000), '1h', h],
  ['a quarter', wish(90 * d, 90 * d, 1_000), '1h', 3 * h],
  ['ten minutes of last week: raw samples are gone', wish(6 * d, 10 * m, 1_000), '10s', 10 * s],
  ['ten minutes of last month', wish(30 * d, 10 * m, 1_000), '1m', m],
  ['ten minutes of last year', wish(365 * d, 10 * m, 1_000), '1h', h],
  ['older than anything', wish(10 * 365 * d, 10 * m, 1_000), '1h', h],
  ['asked as long as it is kept, a little later', wish(24 * h + 5 * s, h, 5_000), 'raw', s],
  ['ten years', wish(10 * 365 * d, 10 * 365 * d, 5_000), '1h', d],
  ['all time', wish(now, 8.64e15, 5_000), '1h', 20_000 * d],
  ['one bucket', wish(10 * m, 10 * m, 1), '1m', 10 * m],
  ['the future', wish(-h, h, 1_000), 'raw', 5 * s],
  ['raw kept longest', wish(20 * d, 10 * m, 1_000, { kept: { ...kept, raw: 30 * d, '1m': 7 * d } }), 'raw', s],
  ['raw kept longest, but too much to read', wish(20 * d, 20 * d, 2_000, { kept: { ...kept, raw: 30 * d, '1m': 7 * d } }), '1h', h],
])('%s', (_, given, tier, stepMs) => {
  const grid = chooseGrid(given);
  expect(grid).toMatchObject({ tier, stepMs });
});

test('every grid covers its range, aligned, within the points, from a tier that has such buckets', () => {
  const seed = seedFor('grids');
  fc.assert(
    fc.property(
      fc.record({
        fromMs: fc.oneof(fc.integer({ min: 0, max: 8.64e15 }), fc.integer({ min: now - 100 * d, max: now })),
        lengthMs: fc.oneof(fc.integer({ min: 1, max: 2 * h }), fc.integer({ min: 1, max: 100 * d }), fc.integer({ min: 1, max: 8.64e15 })),
        points: fc.oneof(fc.integer({ min: 1, max: 10 }), fc.integer({ min: 1, max: 5_000 })),
      }),
      ({ fromMs, lengthMs, points }) => {
        const toMs = fromMs + lengthMs;
        const grid = chooseGrid({ fromMs, toMs, points, nowMs: now, kept });
        expect(grid.count).toBeGreaterThan(0);
        expect(grid.count).toBeLessThanOrEqual(points);
        expect(grid.startMs).toBeLessThanOrEqual(fromMs);
        const width = tiers[grid.tier].stepMs || s;
        expect([grid.startMs % width, grid.stepMs % width]).toEqual([0, 0]);
        if (grid.count > 1) expect(grid.startMs % grid.stepMs).toBe(0);
        const endMs = grid.startMs + grid.count * grid.stepMs;
        expect(endMs).toBeGreaterThanOrEqual(toMs);
        // No bucket lies outside, either.
        expect(grid.startMs + grid.stepMs).toBeGreaterThan(fromMs);
        expect(endMs - grid.stepMs).toBeLessThan(toMs);
      },
    ),
    { seed, numRuns: 2_000 },
  );
});

test('what is not sealed comes from the next finer tier', () => {
  const unsealed = { fromMs: 3 * h + 20 * m, minutes: [h + 5 * m, h + 6 * m, h + 8 * m], hours: [2 * h, 3 * h] };
  expect(segmentsOf('raw', 0, 4 * h, unsealed)).toEqual([{ tier: 'raw', fromMs: 0, toMs: 4 * h }]);
  expect(segmentsOf('1m', h, 4 * h, unsealed)).toEqual([
    { tier: '1m', fromMs: h, toMs: h + 5 * m },
    { tier: 'raw', fromMs: h + 5 * m, toMs: h + 7 * m },
    { tier: '1m', fromMs: h + 7 * m, toMs: h + 8 * m },
    { tier: 'raw', fromMs: h + 8 * m, toMs: h + 9 * m },
    { tier: '1m', fromMs: h + 9 * m, toMs: 3 * h + 20 * m },
    { tier: 'raw', fromMs: 3 * h + 20 * m, toMs: 4 * h },
  ]);
  // The hour of a late minute is not right yet, either.
  expect(segmentsOf('1h', 0, 4 * h, { ...unsealed, minutes: [h + 5 * m] })).toEqual([
    { tier: '1h', fromMs: 0, toMs: h },
    { tier: '1m', fromMs: h, toMs: h + 5 * m },
    { tier: 'raw', fromMs: h + 5 * m, toMs: h + 6 * m },
    { tier: '1m', fromMs: h + 6 * m, toMs: 3 * h + 20 * m },
    { tier: 'raw', fromMs: 3 * h + 20 * m, toMs: 4 * h },
  ]);
  expect(segmentsOf('10s', 5 * h, 6 * h, unsealed)).toEqual([{ tier: 'raw', fromMs: 5 * h, toMs: 6 * h }]);
  expect(segmentsOf('10s', 5 * h, 5 * h, unsealed)).toEqual([]);
});

test('stretches follow each other without hole or overlap, and none reads what a tier lacks', () => {
  const seed = seedFor('segments');
  const minutes = fc.array(fc.integer({ min: 0, max: 400 }).map((n) => n * m));
  fc.assert(
    fc.property(
      fc.constantFrom<Tier>('raw', '10s', '1m', '1h'),
      fc.integer({ min: 0, max: 400 * m }),
      fc.integer({ min: 1, max: 400 * m }),
      fc.record({
        fromMs: fc.integer({ min: 0, max: 400 }).map((n) => n * m),
        minutes,
        hours: fc.array(fc.integer({ min: 0, max: 7 }).map((n) => n * h)),
      }),
      (tier, fromMs, length, unsealed) => {
        const segments = segmentsOf(tier, fromMs, fromMs + length, unsealed);
        let at = fromMs;
        for (const segment of segments) {
          expect(segment.fromMs).toBe(at);
          expect(segment.toMs).toBeGreaterThan(at);
          at = segment.toMs;
          if (segment.tier === 'raw') continue;
          expect(segment.toMs).toBeLessThanOrEqual(Math.max(unsealed.fromMs, segment.fromMs));
          for (const minute of unsealed.minutes) expect(minute + m <= segment.fromMs || minute >= segment.toMs).toBe(true);
          if (segment.tier === '1h')
            for (const hour of unsealed.hours) expect(hour + h <= segment.fromMs || hour >= segment.toMs).toBe(true);
        }
        expect(at).toBe(fromMs + length);
      },
    ),
    { seed, numRuns: 1_000 },
  );
});

const samples = fc.array(
  fc.record({
    at: fc.integer({ min: 0, max: 400 * s }),
    'cpu.busy': fc.option(fc.integer({ min: 0, max: 1_000 }).map((n) => n / 1_000)),
    x: fc.double({ noNaN: true, noDefaultInfinity: true }),
  }),
  { maxLength: 300 },
);

test('buckets of buckets equal buckets of samples: extremes exactly, averages by weight', () => {
  const seed = seedFor('tables');
  fc.assert(
    fc.property(samples, fc.integer({ min: 0, max: 300 * s }), fc.integer({ min: 1, max: 100 * s }), (given, fromMs, length) => {
      const grid = { tier: 'raw' as const, startMs: 0, stepMs: 60 * s, count: 7 };
      const toMs = fromMs + length;
      const at = given.map((sample) => sample.at);
      const series = new Map([
        ['cpu.busy', given.map((sample) => sample['cpu.busy'] ?? NaN)],
        ['x', given.map((sample) => sample.x)],
      ]);
      const direct = new SeriesTable(grid, unlimited);
      direct.addSamples({ at, series }, fromMs, toMs);
      for (const [name, columns] of direct.columns()) {
        for (let bucket = 0; bucket < grid.count; bucket++) {
          const inside = given.filter((sample) => sample.at >= fromMs && sample.at < toMs && Math.floor(sample.at / (60 * s)) === bucket);
          const values = inside.map((sample) => sample[name as 'x']).filter((value) => value !== null);
          if (values.length === 0) {
            expect([columns.min[bucket], columns.avg[bucket], columns.max[bucket]]).toEqual([null, null, null]);
            continue;
          }
          expect(columns.min[bucket]).toBe(Math.min(...values));
          expect(columns.max[bucket]).toBe(Math.max(...values));
          const mean = values.reduce((sum, value) => sum + value / values.length, 0);
          const scale = Math.max(...values.map(Math.abs));
          expect(Math.abs(columns.avg[bucket]! - mean)).toBeLessThanOrEqual(1e-5 + scale * 1e-12);
        }
      }
      // By way of tiers, over the whole grid.
      const raw = new SeriesTable(grid, unlimited);
      raw.addSamples({ at, series }, 0, 420 * s);
      const tens = rollUp({ at, series }, 10 * s);
      for (const way of [tens, joinRollups([tens], 20 * s), rollUp({ at, series }, 60 * s)]) {
        const joined = new SeriesTable(grid, unlimited);
        joined.addBuckets(way, 0, 420 * s);
        for (const [name, { min, avg, max }] of raw.columns()) {
          const other = joined.columns().get(name)!;
          expect([other.min, other.max]).toEqual([min, max]);
          const scale = Math.max(...max.map((value, i) => Math.max(Math.abs(value ?? 0), Math.abs(min[i] ?? 0))));
          avg.forEach((value, i) => expect(Math.abs((other.avg[i] ?? 0) - (value ?? 0))).toBeLessThanOrEqual(2e-5 + scale * 1e-12));
        }
      }
    }),
    { seed, numRuns: 300 },
  );
});

test('a table has a bound for its series, and for all buckets together', () => {
  const grid = { tier: 'raw' as const, startMs: 0, stepMs: s, count: 10 };
  const one = (name: string) => ({ at: [1], series: new Map([[name, [5]]]) });
  const few = new SeriesTable(grid, { series: 2, buckets: 1_000 });
  few.addSamples(one('a'), 0, 10 * s);
  few.addSamples(one('b'), 0, 10 * s);
  few.addSamples(one('a'), 0, 10 * s);
  expect(() => few.addSamples(one('c'), 0, 10 * s)).toThrow(new TableFull('series'));
  const small = new SeriesTable(grid, { series: 100, buckets: 15 });
  small.addSamples(one('a'), 0, 10 * s);
  expect(() => small.addSamples(one('b'), 0, 10 * s)).toThrow(new TableFull('buckets'));
  // Only values take room.
  small.addSamples({ at: [1, 20 * s], series: new Map([['c', [NaN, 1]]]) }, 0, 30 * s);
  expect([...small.columns().keys()]).toEqual(['a']);
});

test.each([
  ['cpu.busy', 'cpu.busy', true],
  ['cpu.busy', 'cpu.busy2', false],
  ['net.*.receive', 'net.eth0.receive', true],
  ['net.*.receive', 'net.eth0.receive_errors', false],
  ['net.*.receive', 'net..receive', true],
  ['cpu.*', 'cpu.core1.busy', true],
  ['*', '', true],
  ['*', 'a.b', true],
  ['**a*', 'bca', true],
  ['a*b*c', 'aXbXbXc', true],
  ['a*b*c', 'aXbXbX', false],
  ['a.c', 'abc', false],
  ['[a]', 'a', false],
  ['', '', true],
  ['', 'a', false],
])('the pattern %j on %j: %s', (pattern, name, expected) => {
  expect(fits(pattern, name)).toBe(expected);
});

test('patterns mean the same as regular expressions, and hostile ones end', () => {
  const seed = seedFor('patterns');
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '.', '*'), maxLength: 12 });
  fc.assert(
    fc.property(
      text,
      text.map((name) => name.replaceAll('*', 'a')),
      (pattern, name) => {
        const expression = new RegExp(`^${pattern.replaceAll('.', '\\.').replaceAll('*', '.*')}$`);
        expect(fits(pattern, name)).toBe(expression.test(name));
      },
    ),
    { seed, numRuns: 3_000 },
  );
  expect(fits(`${'*a'.repeat(3_000)}b`, 'a'.repeat(6_000))).toBe(false);
});
