/** Codes the samples of one host-minute as one chunk. */

import { ByteReader, ByteWriter, ChunkError } from './bytes.ts';
import { filled, readColumn, skipColumn, writeColumn } from './columns.ts';
import { unwrap, wrap } from './envelope.ts';
import { readStamps, writeStamps } from './head.ts';
import type { Stamp } from './head.ts';
import { readNames, writeNames } from './names.ts';
import type { Intern, NameOf } from './names.ts';

export interface ChunkSample extends Stamp {
  metrics: Record<string, number>;
}

/** Samples by column; NaN stands where a sample lacks the metric. */
export interface SampleColumns {
  at: number[];
  series: Map<string, number[]>;
}

/**
 * Samples of any number, ascending by `at`. Values are kept to the catalogue's precision, those of unknown metrics exactly. `columns`: of
 * these samples, where they are at hand.
 */
export function encodeChunk(samples: readonly ChunkSample[], intern: Intern, columns: SampleColumns = toColumns(samples)): Buffer {
  const to = new ByteWriter();
  writeStamps(to, samples);
  for (const name of writeNames(to, columns.series.keys(), intern)) {
    const column = columns.series.get(name)!;
    const values = column.filter((value) => !Number.isNaN(value));
    writePresence(to, column, values.length);
    writeColumn(to, name, values);
  }
  return wrap('samples', to.done());
}

/** Throws ChunkError where the chunk is damaged, UnknownName where `nameOf` has to learn more. `wanted`: other metrics are left out. */
export function decodeChunk(chunk: Uint8Array, nameOf: NameOf, wanted?: (name: string) => boolean): ChunkSample[] {
  const from = new ByteReader(unwrap('samples', chunk));
  const samples = readStamps(from).map((stamp): ChunkSample => ({ ...stamp, metrics: {} }));
  eachColumn(from, samples.length, nameOf, wanted, (name, places, values) => {
    values.forEach((value, i) => {
      samples[places ? places[i]! : i]!.metrics[name] = value;
    });
  });
  return samples;
}

/** The same by column, for charts. */
export function decodeColumns(chunk: Uint8Array, nameOf: NameOf, wanted?: (name: string) => boolean): SampleColumns {
  const from = new ByteReader(unwrap('samples', chunk));
  const at = readStamps(from).map((stamp) => stamp.at);
  const series = new Map<string, number[]>();
  eachColumn(from, at.length, nameOf, wanted, (name, places, values) => {
    if (!places) series.set(name, values);
    else {
      const spread = filled(at.length, NaN);
      places.forEach((place, i) => (spread[place] = values[i]!));
      series.set(name, spread);
    }
  });
  return { at, series };
}

/** Samples by column; metrics that are not wanted are left out. */
export function toColumns(samples: readonly ChunkSample[], wanted?: (name: string) => boolean): SampleColumns {
  const series = new Map<string, number[]>();
  const unwanted = new Set<string>();
  samples.forEach(({ metrics }, place) => {
    for (const name in metrics) {
      let column = series.get(name);
      if (!column) {
        if (unwanted.has(name)) continue;
        if (wanted && !wanted(name)) {
          unwanted.add(name);
          continue;
        }
        column = filled(samples.length, NaN);
        series.set(name, column);
      }
      column[place] = metrics[name]!;
    }
  });
  return { at: samples.map((sample) => sample.at), series };
}

function eachColumn(
  from: ByteReader,
  count: number,
  nameOf: NameOf,
  wanted: ((name: string) => boolean) | undefined,
  take: (name: string, places: number[] | undefined, values: number[]) => void,
): void {
  for (const name of readNames(from, nameOf)) {
    const places = readPresence(from, count);
    const size = places?.length ?? count;
    if (wanted && !wanted(name)) skipColumn(from, size);
    else take(name, places, readColumn(from, size));
  }
  from.end();
}

/** 0 where every sample has the metric, else 1 and a bit per sample. */
function writePresence(to: ByteWriter, column: readonly number[], present: number): void {
  if (present === column.length) {
    to.byte(0);
    return;
  }
  const bitmap = Buffer.alloc(Math.ceil(column.length / 8));
  for (let place = 0; place < column.length; place++) if (!Number.isNaN(column[place])) bitmap[place >> 3]! |= 1 << (place & 7);
  to.byte(1);
  to.bytes(bitmap);
}

function readPresence(from: ByteReader, count: number): number[] | undefined {
  const sort = from.byte();
  if (sort === 0) return undefined;
  if (sort !== 1) throw new ChunkError(`unknown presence ${sort}`);
  const bitmap = from.bytes(Math.ceil(count / 8));
  const places: number[] = [];
  for (let place = 0; place < count; place++) if (bitmap[place >> 3]! & (1 << (place & 7))) places.push(place);
  return places;
}
