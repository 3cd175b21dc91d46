import { expect, test } from 'vitest';
import { Losses } from '../../../agent/spool/losses.ts';
import { crc32, encodeRecord, findRecord, plainCrc32, type Stored } from '../../../agent/spool/record.ts';

test('losses that are added while the hub is told stay', () => {
  const losses = new Losses();
  losses.add('space', 10, 20, 5);
  const told = losses.untold;
  losses.add('space', 20, 30, 2);
  losses.add('age', 1, 1, 1);
  losses.told(told);
  expect(losses.untold).toEqual([
    { why: 'space', from: 20, to: 30, samples: 2 },
    { why: 'age', from: 1, to: 1, samples: 1 },
  ]);
  expect(losses.total).toBe(8);
});

test('records: found again behind anything, never believed when damaged', () => {
  const stored = (number: number): Stored => ({
    number,
    kind: 'sample',
    boot: 'ü',
    seq: number,
    takenMs: 1.5,
    wallMs: 2.25,
    at: number === 2 ? undefined : 7,
    body: '"metrics":{"ä":1}\n',
  });
  const [one, two] = [encodeRecord(stored(1))!, encodeRecord(stored(2))!];
  expect(findRecord(Buffer.concat([Buffer.from([0xff, 0x68]), one]), 0)).toEqual({ record: stored(1), end: one.length + 2 });
  for (let byte = 0; byte < one.length; byte += 1) {
    for (let bit = 0; bit < 8; bit += 1) {
      const damaged = Buffer.concat([one, two]);
      damaged[byte]! ^= 1 << bit;
      expect(findRecord(damaged, 0)).toEqual({ record: stored(2), end: one.length + two.length });
    }
  }
  for (let length = 0; length < one.length; length += 1) {
    expect(findRecord(Buffer.concat([one.subarray(0, length), two]), 0).record).toEqual(stored(2));
  }
  expect(encodeRecord({ ...stored(1), body: 'x'.repeat(600_000) })).toBeUndefined();
});

test('the check sum is the same on every Node', () => {
  for (const text of ['', 'a', 'hostroom'.repeat(1_000)]) {
    expect(plainCrc32(Buffer.from(text), 5)).toBe(crc32(Buffer.from(text), 5));
  }
  expect(plainCrc32(Buffer.from('123456789'))).toBe(0xcbf43926);
});
