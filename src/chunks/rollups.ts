/** Gathers samples into buckets of min, avg, max; joins buckets into larger ones; codes them. */

import { ByteReader, ByteWriter, ChunkError } from './bytes.ts';
import { decimalsOf, filled, fromWholes, readWholes, toWholes, writeWholes } from './columns.ts';
import { unwrap, wrap } from './envelope.ts';
import { readNames, writeNames } from './names.ts';
import type { Intern, NameOf } from './names.ts';
import type { SampleColumns } from './samples.ts';

/** One metric over the buckets of a block; where `n` is 0 the others are NaN. */
export interface RollupSeries {
  /** Samples in the bucket that have the metric. */
  n: number[];
  min: number[];
  avg: number[];
  max: number[];
}

/** Buckets of one host, ascending; those without any sample are left out. */
export interface RollupBlock {
  /** The beginning of each bucket, milliseconds since 1970 UTC. */
  at: number[];
  series: Map<string, RollupSeries>;
}

/**
 * An average stands between min and max, both whole numbers here, in so many steps. Where their sum over the samples is small the steps
 * are those of the sum, and the average is exact; else its error is at most 0.012 % of the difference.
 */
const stepsOf = (n: number, difference: number): number => Math.min(4095, n * difference);

/** Buckets of `stepMs`, aligned to 1970 UTC. */
export function rollUp({ at, series }: SampleColumns, stepMs: number): RollupBlock {
  const starts = [...new Set(at.map((moment) => Math.floor(moment / stepMs) * stepMs))].sort((a, b) => a - b);
  const place = new Map(starts.map((start, i) => [start, i]));
  const bucketOf = at.map((moment) => place.get(Math.floor(moment / stepMs) * stepMs)!);
  const rolled = new Map<string, RollupSeries>();
  for (const [name, values] of series) {
    const into = emptySeries(starts.length);
    for (let i = 0; i < values.length; i++) {
      const value = values[i]!;
      if (!Number.isNaN(value)) add(into, bucketOf[i]!, 1, value, value, value);
    }
    rolled.set(name, finish(into));
  }
  return { at: starts, series: rolled };
}

/** Buckets of `stepMs` out of smaller ones, each weighted by its samples. */
export function joinRollups(blocks: readonly RollupBlock[], stepMs: number): RollupBlock {
  const starts = [...new Set(blocks.flatMap((block) => block.at.map((at) => Math.floor(at / stepMs) * stepMs)))].sort((a, b) => a - b);
  const place = new Map(starts.map((start, i) => [start, i]));
  const joined = new Map<string, RollupSeries>();
  for (const { at, series } of blocks) {
    const bucketOf = at.map((start) => place.get(Math.floor(start / stepMs) * stepMs)!);
    for (const [name, { n, min, avg, max }] of series) {
      let into = joined.get(name);
      if (!into) joined.set(name, (into = emptySeries(starts.length)));
      for (let i = 0; i < n.length; i++) if (n[i]! > 0) add(into, bucketOf[i]!, n[i]!, min[i]!, avg[i]!, max[i]!);
    }
  }
  for (const series of joined.values()) finish(series);
  return { at: starts, series: joined };
}

function add(into: RollupSeries, bucket: number, n: number, min: number, avg: number, max: number): void {
  if (into.n[bucket] === 0) {
    into.min[bucket] = min;
    into.max[bucket] = max;
    into.avg[bucket] = 0;
  } else {
    into.min[bucket] = Math.min(into.min[bucket]!, min);
    into.max[bucket] = Math.max(into.max[bucket]!, max);
  }
  into.n[bucket]! += n;
  // A running mean: the sum of large values would lose digits, or overflow.
  const weight = n / into.n[bucket]!;
  into.avg[bucket] = into.avg[bucket]! * (1 - weight) + avg * weight;
}

function finish(series: RollupSeries): RollupSeries {
  // Rounding must not lead outside.
  for (let i = 0; i < series.n.length; i++) {
    if (series.n[i]! > 0) series.avg[i] = Math.min(series.max[i]!, Math.max(series.min[i]!, series.avg[i]!));
  }
  return series;
}

const emptySeries = (length: number): RollupSeries => ({
  n: filled(length, 0),
  min: filled(length, NaN),
  avg: filled(length, NaN),
  max: filled(length, NaN),
});

/** Flags of a metric; bits 4–6 are its decimals. */
const flags = { ownCounts: 1, flat: 2, floats: 4 };

/** Min and max to the catalogue's precision, averages to 0.012 % of their difference. */
export function encodeRollups(block: RollupBlock, intern: Intern): Buffer {
  const to = new ByteWriter();
  const counts = filled(block.at.length, 0);
  for (const { n } of block.series.values()) for (let i = 0; i < n.length; i++) counts[i] = Math.max(counts[i]!, n[i]!);
  to.varint(block.at.length);
  writeWholes(to, block.at);
  writeWholes(to, counts);
  for (const name of writeNames(to, block.series.keys(), intern)) {
    const series = block.series.get(name)!;
    const own = series.n.some((n, i) => n !== counts[i]);
    const used: number[] = [];
    for (let i = 0; i < series.n.length; i++) if (series.n[i]! > 0) used.push(i);
    const min = used.map((i) => series.min[i]!);
    const max = used.map((i) => series.max[i]!);
    const flat = min.every((value, i) => value === max[i]);
    const decimals = decimalsOf(name, [...min, ...max]);
    to.byte((own ? flags.ownCounts : 0) | (flat ? flags.flat : 0) | (decimals === undefined ? flags.floats : decimals << 4));
    if (own) for (const n of series.n) to.varint(n);
    if (decimals === undefined) {
      for (const i of used) for (const value of [series.min[i]!, series.avg[i]!, series.max[i]!]) to.bytes(float(value));
      continue;
    }
    const low = toWholes(min, decimals);
    const high = toWholes(max, decimals);
    low.forEach((value, i) => to.signed(i === 0 ? value : value - low[i - 1]!));
    if (flat) continue;
    low.forEach((value, i) => to.varint(high[i]! - value));
    used.forEach((bucket, i) => {
      const difference = high[i]! - low[i]!;
      if (difference === 0) return;
      const part = Math.min(1, Math.max(0, (series.avg[bucket]! * 10 ** decimals - low[i]!) / difference));
      to.varint(Math.round(stepsOf(series.n[bucket]!, difference) * part));
    });
  }
  return wrap('rollups', to.done());
}

/** Throws ChunkError where the block is damaged, UnknownName where `nameOf` has to learn more. */
export function decodeRollups(chunk: Uint8Array, nameOf: NameOf, wanted?: (name: string) => boolean): RollupBlock {
  const from = new ByteReader(unwrap('rollups', chunk));
  const count = from.varint();
  if (count > 100_000) throw new ChunkError(`${count} buckets are too many`);
  const at = readWholes(from, count);
  const counts = readWholes(from, count);
  const usedOfAll = countUsed(counts);
  const series = new Map<string, RollupSeries>();
  for (const name of readNames(from, nameOf)) {
    const kind = from.byte();
    const n = kind & flags.ownCounts ? counts.map(() => from.varint()) : counts;
    const used = n === counts ? usedOfAll : countUsed(n);
    if (wanted && !wanted(name)) skip(from, kind, used);
    else series.set(name, spread(n, kind & flags.floats ? readFloats(from, used) : readScaled(from, kind, n, used)));
  }
  from.end();
  return { at, series };
}

function countUsed(n: readonly number[]): number {
  let used = 0;
  for (const one of n) if (one > 0) used++;
  return used;
}

type Extent = Omit<RollupSeries, 'n'>;

function readScaled(from: ByteReader, kind: number, n: readonly number[], used: number): Extent {
  const decimals = (kind >> 4) & 7;
  const low: number[] = [];
  for (let i = 0; i < used; i++) low.push(from.signed() + (low[i - 1] ?? 0));
  if (kind & flags.flat) {
    const min = fromWholes(low, decimals);
    return { min, avg: min, max: min };
  }
  const high = low.map((value) => value + from.varint());
  const min = fromWholes([...low], decimals);
  const max = fromWholes([...high], decimals);
  const counts = used === n.length ? n : n.filter((one) => one > 0);
  const avg = min.map((least, i) => {
    const difference = high[i]! - low[i]!;
    return difference === 0 ? least : least + ((max[i]! - least) * from.varint()) / stepsOf(counts[i]!, difference);
  });
  return { min, avg, max };
}

function readFloats(from: ByteReader, used: number): Extent {
  const extent: Extent = { min: [], avg: [], max: [] };
  for (let i = 0; i < used; i++) {
    for (const which of ['min', 'avg', 'max'] as const) extent[which].push(Buffer.from(from.bytes(8)).readDoubleBE());
  }
  return extent;
}

function skip(from: ByteReader, kind: number, used: number): void {
  if (kind & flags.floats) from.bytes(24 * used);
  else {
    from.skip(used);
    if (kind & flags.flat) return;
    let averages = 0;
    for (let i = 0; i < used; i++) if (from.varint() > 0) averages++;
    from.skip(averages);
  }
}

/** Puts NaN where the bucket lacks the metric. */
function spread(n: number[], extent: Extent): RollupSeries {
  if (n.length === extent.min.length) return { n, ...extent };
  const put = (values: number[]): number[] => {
    let next = 0;
    return n.map((one) => (one > 0 ? values[next++]! : NaN));
  };
  return { n, min: put(extent.min), avg: put(extent.avg), max: put(extent.max) };
}

function float(value: number): Buffer {
  const data = Buffer.allocUnsafe(8);
  data.writeDoubleBE(value + 0);
  return data;
}
