/** Codes the values of one metric over time in as few bytes as an exact code by simple means can. */

import { lookUp } from '../protocol/metrics.ts';
import { ChunkError, zigzag } from './bytes.ts';
import type { ByteReader, ByteWriter } from './bytes.ts';

/** How whole numbers become small ones: all the same, above the smallest, or as the change (of the change). */
const modes = { constant: 0, plain: 1, delta: 2, delta2: 3 } as const;
const hasDivisor = 0x40;
const floats = 7;
const powers = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000];
/** Beyond it, differences of differences would not be exact. */
const largest = 2 ** 50;

/** Kind byte: bits 0–2 the mode, bits 3–5 the decimals, bit 6 whether all are multiples of a common divisor. */
export function writeColumn(to: ByteWriter, name: string | undefined, values: readonly number[]): void {
  const decimals = decimalsOf(name, values);
  if (decimals === undefined) writeFloats(to, values);
  else writeWholes(to, toWholes(values, decimals), decimals << 3);
}

/** The values that writeColumn took, rounded to the catalogue's precision; as many as were written. */
export function readColumn(from: ByteReader, count: number): number[] {
  const kind = from.byte();
  if (kind === floats) return readFloats(from, count);
  return fromWholes(readWholes(from, count, kind), (kind >> 3) & 7);
}

export function skipColumn(from: ByteReader, count: number): void {
  const kind = from.byte();
  const mode = kind & 7;
  if (kind === floats) from.bytes(8 * count);
  else from.skip(1 + (kind & hasDivisor ? 1 : 0) + (mode === modes.constant ? 0 : mode === modes.plain ? count : count - 1));
}

/** Digits after the point that hold all values: the catalogue's, for other names as few as are exact; undefined: none do. */
export function decimalsOf(name: string | undefined, values: readonly number[]): number | undefined {
  const known = name === undefined ? undefined : catalogued(name);
  if (known !== undefined) return values.every((value) => Math.abs(value) * powers[known]! <= largest) ? known : undefined;
  const fewest = powers.findIndex((power) => values.every((value) => isExact(value, power)));
  return fewest < 0 ? undefined : fewest;
}

/** The same number so many times; `Array.from` takes ten times as long. */
export function filled(length: number, value: number): number[] {
  const values: number[] = [];
  for (let i = 0; i < length; i++) values.push(value);
  return values;
}

/** What the catalogue says, by name: looking up a device's metric takes as long as coding its column. */
const decimalsByName = new Map<string, number | undefined>();
const mostNames = 10_000;

function catalogued(name: string): number | undefined {
  const known = decimalsByName.get(name);
  if (known !== undefined || decimalsByName.has(name)) return known;
  if (decimalsByName.size >= mostNames) decimalsByName.clear();
  const decimals = lookUp(name)?.metric.decimals;
  decimalsByName.set(name, decimals);
  return decimals;
}

export function toWholes(values: readonly number[], decimals: number): number[] {
  const power = powers[decimals]!;
  // The sum turns −0, which has no bytes of its own, into 0.
  return values.map((value) => Math.round(value * power) + 0);
}

/** Changes `wholes` into what they stand for. */
export function fromWholes(wholes: number[], decimals: number): number[] {
  const power = powers[decimals];
  if (power === undefined) throw new ChunkError('unknown decimals');
  if (power > 1) for (let i = 0; i < wholes.length; i++) wholes[i] = wholes[i]! / power;
  return wholes;
}

function isExact(value: number, power: number): boolean {
  const whole = Math.round(value * power);
  return Math.abs(whole) <= largest && whole / power === value;
}

/** `flags` are added to the kind byte. All within ±2^50. */
export function writeWholes(to: ByteWriter, values: readonly number[], flags = 0): void {
  const first = values[0] ?? 0;
  let least = first;
  let divisor = 0;
  for (let i = 1; i < values.length; i++) {
    const value = values[i]!;
    if (value < least) least = value;
    if (divisor !== 1 && value !== values[i - 1]) divisor = commonDivisor(divisor, value - values[i - 1]!);
  }
  if (divisor === 0) {
    to.byte(modes.constant | flags);
    to.signed(first);
    return;
  }
  const mode = bestMode(values, least);
  to.byte(mode | flags | (divisor > 1 ? hasDivisor : 0));
  to.signed(mode === modes.plain ? least : first);
  if (divisor > 1) to.varint(divisor);
  if (mode === modes.plain) {
    for (const value of values) to.varint((value - least) / divisor);
    return;
  }
  let change = 0;
  for (let i = 1; i < values.length; i++) {
    const next = values[i]! - values[i - 1]!;
    to.signed((mode === modes.delta ? next : next - change) / divisor);
    change = next;
  }
}

/** The mode whose numbers are the smallest. A common divisor makes them smaller in each alike. */
function bestMode(values: readonly number[], least: number): number {
  let plain = bits(values[0]! - least);
  let delta = 0;
  let delta2 = 0;
  let change = 0;
  for (let i = 1; i < values.length; i++) {
    const next = values[i]! - values[i - 1]!;
    plain += bits(values[i]! - least);
    delta += bits(zigzag(next));
    delta2 += bits(zigzag(next - change));
    change = next;
  }
  if (plain <= delta && plain <= delta2) return modes.plain;
  return delta <= delta2 ? modes.delta : modes.delta2;
}

/** What writeWholes wrote, given its kind byte. */
export function readWholes(from: ByteReader, count: number, kind = from.byte()): number[] {
  const mode = kind & 7;
  const base = from.signed();
  const divisor = kind & hasDivisor ? from.varint() : 1;
  const values: number[] = [];
  if (mode === modes.constant) for (let i = 0; i < count; i++) values.push(base);
  else if (mode === modes.plain) {
    for (let i = 0; i < count; i++) values.push(base + from.varint() * divisor);
  } else if (mode === modes.delta || mode === modes.delta2) {
    let value = base;
    let change = 0;
    for (let i = 0; i < count; i++) {
      if (i > 0) {
        const step = from.signed() * divisor;
        change = mode === modes.delta2 ? change + step : step;
        value += change;
      }
      values.push(value);
    }
  } else throw new ChunkError(`unknown mode ${mode}`);
  return values;
}

/** The bytes of one place value together: the high ones are alike. */
function writeFloats(to: ByteWriter, values: readonly number[]): void {
  const data = Buffer.allocUnsafe(8 * values.length);
  values.forEach((value, i) => data.writeDoubleBE(value + 0, 8 * i));
  to.byte(floats);
  for (let place = 0; place < 8; place++) for (let i = 0; i < values.length; i++) to.byte(data[8 * i + place]!);
}

function readFloats(from: ByteReader, count: number): number[] {
  const planes = from.bytes(8 * count);
  const data = Buffer.allocUnsafe(8 * count);
  for (let i = 0; i < count; i++) for (let place = 0; place < 8; place++) data[8 * i + place] = planes[place * count + i]!;
  return Array.from({ length: count }, (_, i) => data.readDoubleBE(8 * i));
}

function commonDivisor(a: number, b: number): number {
  let [large, small] = [Math.abs(a), Math.abs(b)];
  while (small > 0) [large, small] = [small, large % small];
  return large;
}

/** How many bits a number has; what deflate makes of it goes with that. */
const bits = (value: number): number => (value < 2 ** 32 ? 32 - Math.clz32(value) : 33 + Math.log2(value / 2 ** 32));
