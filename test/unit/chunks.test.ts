import { deflateRawSync, crc32 } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ChunkError } from '../../src/chunks/bytes.ts';
import { maxContentBytes, wrap } from '../../src/chunks/envelope.ts';
import { UnknownName } from '../../src/chunks/names.ts';
import { decodeProcesses, encodeProcesses } from '../../src/chunks/processes.ts';
import { decodeRollups, encodeRollups, joinRollups, rollUp } from '../../src/chunks/rollups.ts';
import { decodeChunk, decodeColumns, encodeChunk, toColumns } from '../../src/chunks/samples.ts';
import type { ChunkSample } from '../../src/chunks/samples.ts';
import { catalogue, lookUp, metricName, rounded } from '../../src/protocol/metrics.ts';
import { seedFor } from '../support/seed.ts';

const minute = Date.UTC(2026, 4, 1, 10, 0);

/** Numbers for names; those that begin with `new` have none. */
function dictionary() {
  const numbers = new Map<string, number>();
  const names = new Map<number, string>();
  return {
    intern: (name: string): number | undefined => {
      if (name.startsWith('new')) return undefined;
      let id = numbers.get(name);
      if (id === undefined) {
        id = (numbers.size + 1) * 7;
        numbers.set(name, id);
        names.set(id, name);
      }
      return id;
    },
    nameOf: (id: number) => names.get(id),
  };
}

const knownName = fc
  .tuple(fc.constantFrom(...catalogue), fc.constantFrom('eth0', '/var/lib', '0', 'nvme0n1', 'a b.c%'))
  .map(([metric, device]) =>
    metric.name.includes('*') ? metricName(metric.name, metric.name.startsWith('cpu') ? '3' : device) : metric.name,
  );
const anyName = fc.oneof(
  { weight: 4, arbitrary: knownName },
  { weight: 1, arbitrary: fc.string({ minLength: 1, maxLength: 40 }).filter((name) => name !== '__proto__') },
  { weight: 1, arbitrary: fc.nat(5).map((n) => `new.metric${n}`) },
);
const value = fc.oneof(
  fc.constantFrom(0, 1, -1, 0.5, 1e9, 4_096_000, 2 ** 40, 2 ** 53, -(2 ** 53), 1e-7, 1e300, Number.MIN_VALUE, Number.MAX_VALUE),
  fc.double({ min: 0, max: 1, noNaN: true }),
  fc.integer({ min: 0, max: 1e9 }),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);
const boots = ['018f3c4e-0000-7000-8000-000000000001', 'ffffffff-ffff-7fff-bfff-ffffffffffff'];

/** A minute whose metric set changes: each metric has its values, and the samples that lack it. */
const someSamples: fc.Arbitrary<ChunkSample[]> = fc
  .record({
    times: fc.uniqueArray(fc.integer({ min: 0, max: 59_999 }), { minLength: 1, maxLength: 70 }),
    names: fc.uniqueArray(anyName, { maxLength: 12 }),
    seed: fc.infiniteStream(value),
    lacking: fc.infiniteStream(fc.integer({ min: 0, max: 9 })),
    steady: fc.infiniteStream(fc.boolean()),
    seqs: fc.integer({ min: 1, max: 2 ** 45 }),
    boots: fc.infiniteStream(fc.constantFrom(0, 0, 0, 0, 1)),
  })
  .map(({ times, names, seed, lacking, steady, seqs, boots: which }) => {
    const next = <T>(stream: Iterator<T>): T => stream.next().value as T;
    const samples = times
      .sort((a, b) => a - b)
      .map((ms, i): ChunkSample => ({ at: minute + ms, seq: seqs + i + (i > 5 ? 3 : 0), boot: boots[next(which)]!, metrics: {} }));
    for (const name of names) {
      const always = next(steady);
      const constant = next(steady) ? next(seed) : undefined;
      for (const sample of samples) if (always || next(lacking) > 3) sample.metrics[name] = constant ?? next(seed);
    }
    return samples;
  });

/** What a chunk promises: the catalogue's precision, exactly what it was for everything else. */
function expected(samples: ChunkSample[]): ChunkSample[] {
  const largeNames = new Set<string>();
  for (const { metrics } of samples) {
    for (const [name, one] of Object.entries(metrics)) {
      const known = lookUp(name);
      if (known && Math.abs(one) * 10 ** known.metric.decimals > 2 ** 50) largeNames.add(name);
    }
  }
  return samples.map((sample) => ({
    ...sample,
    metrics: Object.fromEntries(
      Object.entries(sample.metrics).map(([name, one]) => {
        const known = largeNames.has(name) ? undefined : lookUp(name);
        return [name, (known ? rounded(known.metric, one) : one) + 0];
      }),
    ),
  }));
}

test('a chunk gives back every sample, in the precision of the catalogue', () => {
  fc.assert(
    fc.property(someSamples, (samples) => {
      const { intern, nameOf } = dictionary();
      const chunk = encodeChunk(samples, intern);
      const decoded = decodeChunk(chunk, nameOf);
      expect(decoded).toEqual(expected(samples));
      // Once rounded, it stays what it is: a late sample changes no other.
      expect(decodeChunk(encodeChunk(decoded, intern), nameOf)).toEqual(decoded);
      expect(decodeColumns(chunk, nameOf)).toEqual(toColumns(decoded));
      const wanted = (name: string): boolean => name.length % 2 === 0;
      expect(decodeColumns(chunk, nameOf, wanted)).toEqual(toColumns(decoded, wanted));
    }),
    { seed: seedFor('chunks'), numRuns: 500 },
  );
});

test('a catalogue value rounds as the agent rounds it, whatever its size', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...catalogue.filter((metric) => !metric.name.includes('*'))),
      fc.double({ min: 0, max: 1e12, noNaN: true }),
      (metric, one) => {
        const { intern, nameOf } = dictionary();
        const published = rounded(metric, one);
        const [sample] = decodeChunk(
          encodeChunk([{ at: minute, seq: 1, boot: boots[0]!, metrics: { [metric.name]: published } }], intern),
          nameOf,
        );
        expect(sample?.metrics[metric.name]).toBe(published);
      },
    ),
    { seed: seedFor('catalogue values'), numRuns: 1_000 },
  );
});

test('a damaged chunk is refused as such, never read as something else', () => {
  fc.assert(
    fc.property(someSamples, fc.nat(), fc.nat(7), fc.nat(), (samples, place, bit, cut) => {
      const { intern, nameOf } = dictionary();
      const chunk = encodeChunk(samples, intern);
      const flipped = Buffer.from(chunk);
      flipped[place % chunk.length]! ^= 1 << bit;
      expect(() => decodeChunk(flipped, nameOf)).toThrow(ChunkError);
      expect(() => decodeChunk(chunk.subarray(0, cut % chunk.length), nameOf)).toThrow(ChunkError);
      expect(() => decodeRollups(chunk, nameOf)).toThrow(ChunkError);
    }),
    { seed: seedFor('damaged chunks'), numRuns: 300 },
  );
});

test('content that passes the checksum but makes no sense is refused, whatever it is', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (content) => {
      for (const [kind, read] of [
        ['samples', decodeChunk],
        ['samples', decodeColumns],
        ['rollups', decodeRollups],
      ] as const) {
        try {
          read(wrap(kind, content), (id) => `m${id}`);
        } catch (error) {
          expect(error).toBeInstanceOf(ChunkError);
        }
      }
    }),
    { seed: seedFor('senseless chunks'), numRuns: 2_000 },
  );
});

const someLists = fc.array(
  fc.array(
    fc.record({
      pid: fc.integer({ min: -1, max: 2 ** 22 }),
      name: fc.oneof(fc.constantFrom('node', 'postgres'), fc.string({ maxLength: 20, unit: 'grapheme' })),
      user: fc.constantFrom('root', 'postgres', ''),
      cpu: fc.oneof(
        fc.integer({ min: 0, max: 2_000 }).map((n) => n / 1_000),
        value,
      ),
      memory: fc.integer({ min: 0, max: 2 ** 40 }),
      io: value,
    }),
    { maxLength: 20 },
  ),
  { maxLength: 12 },
);

test('process lists come back exactly; damaged ones are refused', () => {
  fc.assert(
    fc.property(someLists, fc.nat(), fc.nat(7), fc.uint8Array({ maxLength: 100 }), (tops, place, bit, content) => {
      const lists = tops.map((top, i) => ({
        at: minute + i * 5_000,
        seq: i * 11 + 1,
        boot: boots[i % 2]!,
        top: top.map((row) => ({ ...row, cpu: row.cpu + 0, io: row.io + 0 })),
      }));
      const chunk = encodeProcesses(lists);
      expect(decodeProcesses(chunk)).toEqual(lists);
      chunk[place % chunk.length]! ^= 1 << bit;
      expect(() => decodeProcesses(chunk)).toThrow(ChunkError);
      try {
        decodeProcesses(wrap('processes', content));
      } catch (error) {
        expect(error).toBeInstanceOf(ChunkError);
      }
    }),
    { seed: seedFor('process lists'), numRuns: 500 },
  );
});

test('a chunk that would inflate beyond the bound is refused before it does', () => {
  const bomb = deflateRawSync(Buffer.alloc(maxContentBytes + 1));
  const chunk = Buffer.concat([Buffer.from([1, 0x81, 0, 0, 0, 0]), bomb]);
  chunk.writeUInt32LE(crc32(bomb), 2);
  expect(() => decodeChunk(chunk, () => 'x')).toThrow('does not inflate');
  expect(() => wrap('samples', Buffer.alloc(maxContentBytes + 1))).toThrow(ChunkError);
});

test('a name that is not known is told by its number', () => {
  const { intern } = dictionary();
  const chunk = encodeChunk([{ at: minute, seq: 1, boot: boots[0]!, metrics: { 'cpu.busy': 1, other: 2 } }], intern);
  expect(() => decodeChunk(chunk, () => undefined)).toThrow(UnknownName);
  try {
    decodeChunk(chunk, () => undefined);
  } catch (error) {
    expect((error as UnknownName).ids).toEqual([7, 14]);
  }
});

test('rollups are min, avg, max and count of their samples, and survive being coded and joined', () => {
  fc.assert(
    fc.property(someSamples, (samples) => {
      const { intern, nameOf } = dictionary();
      const columns = toColumns(expected(samples));
      const ten = rollUp(columns, 10_000);
      const decoded = decodeRollups(encodeRollups(ten, intern), nameOf);
      expect(decoded.at).toEqual(ten.at);
      const whole = joinRollups([decoded], 60_000);
      for (const [name, values] of columns.series) {
        ten.at.forEach((start, i) => {
          const inside = values.filter((one, k) => !Number.isNaN(one) && Math.floor(columns.at[k]! / 10_000) * 10_000 === start);
          const series = decoded.series.get(name)!;
          expect(series.n[i]).toBe(inside.length);
          if (inside.length === 0) expect([series.min[i], series.avg[i], series.max[i]]).toEqual([NaN, NaN, NaN]);
          else check(inside, series.min[i]!, series.avg[i]!, series.max[i]!);
        });
        const inside = values.filter((one) => !Number.isNaN(one));
        const series = whole.series.get(name)!;
        expect(series.n).toEqual([inside.length]);
        check(inside, series.min[0]!, series.avg[0]!, series.max[0]!);
      }
      const wanted = (name: string): boolean => name.length % 2 === 0;
      const some = decodeRollups(encodeRollups(ten, intern), nameOf, wanted);
      expect(some.series).toEqual(new Map([...decoded.series].filter(([name]) => wanted(name))));
    }),
    { seed: seedFor('rollups'), numRuns: 500 },
  );
});

function check(inside: number[], min: number, avg: number, max: number): void {
  expect(min).toBe(Math.min(...inside));
  expect(max).toBe(Math.max(...inside));
  const mean = inside.reduce((sum, one) => sum + one / inside.length, 0);
  expect(avg).toBeGreaterThanOrEqual(min);
  expect(avg).toBeLessThanOrEqual(max);
  // Denormals divide badly.
  const tolerance = (max - min) / 2_000 + Math.abs(mean) * 1e-9 + 1e-300;
  if (Number.isFinite(tolerance) && Math.abs(mean) < 1e290) expect(Math.abs(avg - mean)).toBeLessThanOrEqual(tolerance);
}
