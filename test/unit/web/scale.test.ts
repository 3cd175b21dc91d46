import fc from 'fast-check';
import { expect, test } from 'vitest';
import { niceCeiling, StickyCeiling, timeStepMs } from '../../../web/src/lib/scale.ts';

test('ceilings are 1, 2, 5 times a power of ten', () => {
  expect([0.3, 1, 1.1, 2.2, 5, 5.1, 99, 101].map((value) => niceCeiling(value))).toEqual([0.5, 1, 2, 5, 5, 10, 100, 200]);
  expect([3, 1000].map((value) => niceCeiling(value, true))).toEqual([4, 1024]);
  expect(niceCeiling(NaN)).toBe(1);
});

test('a ceiling is never below its value and at most two and a half times it', () => {
  fc.assert(
    fc.property(fc.double({ min: 1e-6, max: 1e12, noNaN: true }), (value) => {
      const ceiling = niceCeiling(value);
      expect(ceiling).toBeGreaterThanOrEqual(value * (1 - 1e-9));
      expect(ceiling).toBeLessThanOrEqual(value * 2.5001);
    }),
  );
});

test('grows at once, shrinks only after 30 s below', () => {
  const ceiling = new StickyCeiling(1);
  expect(ceiling.next(30, 0)).toBe(50);
  expect(ceiling.next(3, 1_000)).toBe(50);
  expect(ceiling.next(30, 20_000)).toBe(50);
  expect(ceiling.next(3, 21_000)).toBe(50);
  expect(ceiling.next(3, 50_000)).toBe(50);
  expect(ceiling.next(3, 51_000)).toBe(5);
  expect(ceiling.next(0, 51_001)).toBe(5);
  expect(ceiling.next(60, 51_002)).toBe(100);
});

test('time labels keep their distance', () => {
  expect(timeStepMs(60_000, 574, 70)).toBe(10_000);
  expect(timeStepMs(900_000, 574, 70)).toBe(120_000);
  expect(timeStepMs(3_600_000, 574, 70)).toBe(600_000);
  expect(timeStepMs(900_000, 324, 84)).toBe(300_000);
});
