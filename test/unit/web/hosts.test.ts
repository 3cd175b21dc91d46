import { expect, test } from 'vitest';
import { Trail } from '../../../web/src/state/hosts.ts';
import { statusOf } from '../../../web/src/state/status.ts';

test('a host is OK, stale, offline or unknown by its newest sample', () => {
  expect(statusOf('online', 10_000, 10_200, 'room')).toBe('ok');
  expect(statusOf('online', 10_000, 13_500, 'room')).toBe('stale');
  expect(statusOf('online', 10_000, 13_500, 'fleet')).toBe('ok');
  expect(statusOf('online', 10_000, 25_000, 'room')).toBe('offline');
  expect(statusOf('offline', 10_000, 10_500, 'room')).toBe('ok');
  expect(statusOf('never', null, 10_000, 'room')).toBe('unknown');
  expect(statusOf('online', null, 10_000, 'room')).toBe('offline');
});

test('a trail takes the past after what came live', () => {
  const trail = new Trail();
  trail.add(1_003_000, 0.4);
  for (const [at, value] of [
    [900_000, 0.9],
    [1_001_000, 0.2],
    [1_002_000, 0.3],
    [1_003_000, 0.9],
    [1_004_000, 0.5],
  ] as const)
    trail.fill(at, value);
  expect([...trail.values.slice(-4)].map((value) => value.toFixed(1))).toEqual(['0.2', '0.3', '0.4', '0.5']);
  expect(trail.values[0]).toBeNaN();
});

test('a trail moves by the second and shows what was missed', () => {
  const trail = new Trail();
  trail.add(1_000_000, 0.1);
  trail.add(1_001_000, 0.2);
  trail.add(1_001_400, 0.3);
  expect([...trail.values.slice(-2)]).toEqual([expect.closeTo(0.1), expect.closeTo(0.3)]);
  trail.add(1_010_000, 0.4);
  expect([...trail.values.slice(-10)]).toEqual([expect.closeTo(0.3), ...Array.from({ length: 8 }, () => NaN), expect.closeTo(0.4)]);
  trail.add(1_005_000, 0.9);
  expect(trail.values.at(-1)).toBeCloseTo(0.4);
  trail.add(2_000_000, null);
  expect(trail.values.every(Number.isNaN)).toBe(true);
});
