import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Rates } from '../../../agent/rates.ts';

test('the first reading gives nothing, the second the increase per second', () => {
  const rates = new Rates(5_000);
  rates.begin(1_000);
  expect(rates.perSecond('a', 100)).toBeUndefined();
  rates.begin(3_000);
  expect(rates.perSecond('a', 150)).toBe(25);
});

test('a reset gives nothing, then goes on from the new value', () => {
  const rates = new Rates(5_000);
  for (const [nowMs, counter, expected] of [
    [0, 1_000, undefined],
    [1_000, 1_010, 10],
    [2_000, 5, undefined],
    [3_000, 7, 2],
  ] as const) {
    rates.begin(nowMs);
    expect(rates.perSecond('a', counter)).toBe(expected);
  }
});

test('a gap longer than allowed gives nothing', () => {
  const rates = new Rates(5_000);
  rates.begin(0);
  rates.perSecond('a', 0);
  rates.begin(5_001);
  expect(rates.perSecond('a', 1_000_000)).toBeUndefined();
});

test('readings too close together are not compared, and the next one spans both', () => {
  const rates = new Rates(5_000);
  rates.begin(0);
  rates.perSecond('a', 0);
  rates.begin(50);
  expect(rates.perSecond('a', 10)).toBeUndefined();
  rates.begin(1_000);
  expect(rates.perSecond('a', 20)).toBe(20);
});

test('what is not read any more is forgotten', () => {
  const rates = new Rates(5_000);
  for (let device = 0; device < 1_000; device += 1) {
    rates.begin(device * 1_000);
    rates.perSecond(`veth${device}`, 1);
  }
  expect(rates.size).toBeLessThan(10);
});

test('a replaced device starts afresh', () => {
  const rates = new Rates(5_000);
  rates.begin(0);
  rates.perSecond('net eth0 receive', 5);
  rates.forget('net eth0 ');
  rates.begin(1_000);
  expect(rates.perSecond('net eth0 receive', 1e15)).toBeUndefined();
});

test('idle time that steps back a little does not disturb the shares', () => {
  const rates = new Rates(5_000);
  rates.begin(0);
  rates.shares('cpu', [100, 1_000]);
  rates.begin(1_000);
  expect(rates.shares('cpu', [150, 999])).toEqual([1, 0]);
  rates.begin(2_000);
  expect(rates.shares('cpu', [200, 1_049])).toEqual([0.5, 0.5]);
});

test('time per operation is 0 while there is none', () => {
  const rates = new Rates(5_000);
  rates.begin(0);
  rates.perUnit('await', 10, 5);
  rates.begin(1_000);
  expect(rates.perUnit('await', 10, 5)).toBe(0);
  rates.begin(2_000);
  expect(rates.perUnit('await', 16, 8)).toBe(2);
});

test('whatever counters do, no rate is negative or above what really was counted in any second', () => {
  const step = fc.record({
    gapMs: fc.oneof({ weight: 5, arbitrary: fc.constant(1_000) }, { weight: 1, arbitrary: fc.integer({ min: 0, max: 20_000 }) }),
    increase: fc.integer({ min: 0, max: 1_000 }),
    reset: fc.oneof({ weight: 5, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.boolean() }),
  });
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1e15, noNaN: true }), fc.array(step, { maxLength: 60 }), (startAt, steps) => {
      const rates = new Rates(5_000);
      let nowMs = 0;
      let counter = Math.floor(startAt);
      for (const { gapMs, increase, reset } of steps) {
        nowMs += gapMs;
        // At most 1,000 per second are ever counted.
        counter = reset ? 0 : counter + Math.floor((increase * gapMs) / 1_000);
        rates.begin(nowMs);
        const rate = rates.perSecond('a', counter);
        if (rate !== undefined) {
          expect(rate).toBeGreaterThanOrEqual(0);
          expect(rate).toBeLessThanOrEqual(1_000);
        }
        const shares = rates.shares('b', [counter, nowMs / 10, increase]);
        for (const share of shares ?? []) {
          expect(share).toBeGreaterThanOrEqual(0);
          expect(share).toBeLessThanOrEqual(1);
        }
        const share = rates.shareOfTime('c', counter);
        if (share !== undefined) expect(share).toBeLessThanOrEqual(1);
      }
    }),
  );
});

test.each([Number.NaN, Infinity])('%s is not a reading', (value) => {
  const rates = new Rates(5_000);
  rates.begin(0);
  rates.perSecond('a', 1);
  rates.begin(1_000);
  expect(rates.perSecond('a', value)).toBeUndefined();
});
