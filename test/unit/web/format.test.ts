import { expect, test } from 'vitest';
import {
  age,
  binary,
  clockSeconds,
  count,
  duration,
  formatUnit,
  initials,
  middle,
  percent,
  rate,
  significant,
} from '../../../web/src/lib/format.ts';

const plain = (text: string): string => text.replaceAll('\u202f', ' ');

test.each([
  [0, '0.0 %'],
  [0.094, '9.4 %'],
  [0.0996, '10 %'],
  [0.97, '97 %'],
])('percent of %d', (value, text) => expect(plain(percent(value))).toBe(text));

test.each([
  [0, '0 B/s'],
  [999, '999 B/s'],
  [18_800_000, '18.8 MB/s'],
  [343_000, '343 kB/s'],
  [999_999, '1.0 MB/s'],
])('rate of %d', (value, text) => expect(plain(rate(value))).toBe(text));

test('memory is binary', () => {
  expect(plain(binary(17.1 * 2 ** 30))).toBe('17.1 GiB');
  expect(plain(binary(361 * 2 ** 20))).toBe('361 MiB');
  expect(plain(binary(512))).toBe('512 B');
});

test('two to three digits', () => {
  expect([0.001, 0.42, 9.42, 34.44, 343.4].map(significant)).toEqual(['0', '0.42', '9.4', '34.4', '343']);
  expect(plain(count(1_234))).toBe('1.2 k');
  expect(count(819)).toBe('819');
});

test.each([
  [500, '0 s'],
  [32_000, '32 s'],
  [392_000, '6 min 32 s'],
  [3_600_000, '1 h'],
  [41.25 * 86_400_000, '41 d 6 h'],
])('duration of %d ms', (ms, text) => expect(plain(duration(ms))).toBe(text));

test.each([
  [-5, '0 ms'],
  [183, '180 ms'],
  [6_240, '6.2 s'],
  [12_900, '12 s'],
])('age of %d ms', (ms, text) => expect(plain(age(ms))).toBe(text));

test('no value is a dash, never 0', () => {
  expect(formatUnit(null, 'bytes')).toBe('—');
  expect(formatUnit(NaN, 'ratio')).toBe('—');
  expect(plain(formatUnit(73.2, '°C'))).toBe('73 °C');
});

test('names are shortened in the middle, people to initials', () => {
  expect(middle('fra-api-1', 17)).toBe('fra-api-1');
  expect(middle('frankfurt-api-gateway-12', 12)).toBe('frankfu…y-12');
  expect(middle('frankfurt-api-gateway-12', 12)).toHaveLength(12);
  expect(initials('Mara Lind')).toBe('ML');
  expect(initials('mara@example.net')).toBe('ME');
  expect(initials('  ')).toBe('?');
});

test('the clock at the crosshair has seconds', () => {
  expect(clockSeconds(Date.UTC(2026, 10, 20, 14, 9, 12))).toMatch(/^\d\d:\d\d:12$/);
});
