/** The history of a host as a whole: raw samples out of chunks and hot rows, and rollups. */

import { ChunkError } from '../chunks/bytes.ts';
import type { Stamp } from '../chunks/head.ts';
import { decodeProcesses } from '../chunks/processes.ts';
import type { ChunkProcesses } from '../chunks/processes.ts';
import { decodeRollups } from '../chunks/rollups.ts';
import type { RollupBlock } from '../chunks/rollups.ts';
import { decodeChunk, decodeColumns, toColumns } from '../chunks/samples.ts';
import type { ChunkSample, SampleColumns } from '../chunks/samples.ts';
import type { Sql } from '../db/database.ts';
import type { Processes, Sample } from '../protocol/kinds.ts';
import { deleteChunks, newestChunk, nextMinute, readChunks } from './chunks.ts';
import type { StoredChunk } from './chunks.ts';
import type { MetricNames } from './metricNames.ts';
import { deleteRollups, readRollupRows } from './rollups.ts';
import { deleteSamples, newestFrames, readHotMinutes } from './samples.ts';
import type { HotFrame, SampleRow, StoredFrame } from './samples.ts';
import { deleteWork } from './sealWork.ts';
import { minuteMs, tiers } from './tiers.ts';
import type { RollupTier, Tier } from './tiers.ts';

export interface HistoryParts {
  sql: Sql;
  names: MetricNames;
  /** Told of every chunk that cannot be read; the rest of the answer still comes. */
  corrupt?(error: ChunkError, chunk: { host: string; tier: Tier; at: number }): void;
}

/** Milliseconds since 1970 UTC; `fromMs` inclusive, `toMs` exclusive. */
export interface HistoryRange {
  host: string;
  fromMs: number;
  toMs: number;
  /** Which metrics; all without it. Asked once per metric and row. */
  wanted?: (name: string) => boolean;
}

/** What one query reads: half an hour of samples is 3 MB of hot rows. */
const pageMinutes = 30;
const pageRows = 300;

/**
 * The samples of a range, ascending by `at`, each once, a page at a time. Each page is a query of its own, so that a reader who stalls
 * holds neither a connection nor more than a page in memory. Values of sealed minutes have the catalogue's precision.
 */
export async function* readRaw(parts: HistoryParts, range: HistoryRange): AsyncGenerator<ChunkSample[]> {
  const { fromMs, toMs, wanted } = range;
  for await (const minutes of pages(parts, range)) {
    const page: ChunkSample[] = [];
    for (const { minute, chunk, hot } of minutes) {
      const decoded = chunk && (await decode(parts, range.host, 'raw', minute, () => decodeChunk(chunk, parts.names.nameOf, wanted)));
      const rows = hot.map((frame) => (wanted ? only(sampleOf(frame), wanted) : sampleOf(frame)));
      page.push(...joined(rows, decoded).filter(({ at }) => at >= fromMs && at < toMs));
    }
    if (page.length > 0) yield page;
  }
}

/** The process lists of a range, in the same way. */
export async function* readProcesses(parts: HistoryParts, range: HistoryRange): AsyncGenerator<ChunkProcesses[]> {
  const { fromMs, toMs } = range;
  for await (const minutes of pages(parts, range, 'processes')) {
    const page: ChunkProcesses[] = [];
    for (const { minute, chunk, hot } of minutes) {
      const decoded = chunk && (await decode(parts, range.host, 'raw', minute, () => decodeProcesses(chunk)));
      page.push(...joined(hot.map(listOf), decoded).filter(({ at }) => at >= fromMs && at < toMs));
    }
    if (page.length > 0) yield page;
  }
}

const sampleOf = ({ at, boot, seq, frame }: HotFrame): ChunkSample => ({ at, boot, seq, metrics: (JSON.parse(frame) as Sample).metrics });
const listOf = ({ at, boot, seq, frame }: HotFrame): ChunkProcesses => ({ at, boot, seq, top: (JSON.parse(frame) as Processes).top });

/** Of rows and chunk, ascending; where both have a publication of one time, that of the chunk. */
const joined = <T extends Stamp>(rows: readonly T[], chunk: readonly T[] = []): T[] =>
  [...new Map([...rows, ...chunk].map((one) => [one.at, one])).values()].sort((a, b) => a.at - b.at);

/** The same by column, for charts: one block per minute, ascending; the first and the last may reach beyond the range. */
export async function* readRawColumns(parts: HistoryParts, range: HistoryRange): AsyncGenerator<SampleColumns> {
  const { names } = parts;
  const { wanted } = range;
  for await (const minutes of ahead(pages(parts, range))) {
    for (const { minute, chunk, hot } of minutes) {
      if (chunk && hot.length === 0) {
        const columns = await decode(parts, range.host, 'raw', minute, () => decodeColumns(chunk, names.nameOf, wanted));
        if (columns) yield columns;
        continue;
      }
      const decoded = chunk && (await decode(parts, range.host, 'raw', minute, () => decodeChunk(chunk, names.nameOf, wanted)));
      yield toColumns(joined(hot.map(sampleOf), decoded), wanted);
    }
  }
}

/** Rollups of the rows that overlap the range, ascending, a block per row; the first and the last may reach beyond the range. */
export async function* readRollups(parts: HistoryParts, tier: RollupTier, range: HistoryRange): AsyncGenerator<RollupBlock> {
  for await (const rows of ahead(rollupPages(parts, tier, range))) {
    for (const { at, data } of rows) {
      const block = await decode(parts, range.host, tier, at, () => decodeRollups(data, parts.names.nameOf, range.wanted));
      if (block) yield block;
    }
  }
}

async function* rollupPages(
  { sql }: HistoryParts,
  tier: RollupTier,
  { host, fromMs, toMs }: HistoryRange,
): AsyncGenerator<{ at: number; data: Buffer }[]> {
  const { rowMs } = tiers[tier];
  for (let sinceMs = Math.floor(fromMs / rowMs) * rowMs; ;) {
    const rows = await readRollupRows(sql, tier, { host, fromMs: sinceMs, toMs }, pageRows);
    yield rows;
    if (rows.length < pageRows) return;
    sinceMs = rows.at(-1)!.at + rowMs;
  }
}

/** The same, with the next one under way while this one is worked on. */
async function* ahead<T>(source: AsyncGenerator<T>): AsyncGenerator<T> {
  try {
    for (let next = source.next(); ;) {
      const { value, done } = await next;
      if (done) return;
      next = source.next();
      // It is awaited in the next round; where there is none, nobody asks how it went.
      next.catch(() => undefined);
      yield value;
    }
  } finally {
    await source.return(undefined);
  }
}

/**
 * The newest publications of a host, newest first, at most `limit` of each kind. Those of a host that is away for long are in chunks only:
 * then its last minute.
 */
export async function newestPublications(parts: HistoryParts, host: string, limit: number): Promise<StoredFrame[]> {
  const rows = await newestFrames(parts.sql, host, limit);
  if (rows.length > 0) return rows;
  const frames: StoredFrame[] = [];
  const samples = await newestChunk(parts.sql, host, 'sample');
  if (samples) {
    for (const sample of (await decode(parts, host, 'raw', samples.minute, () => decodeChunk(samples.data, parts.names.nameOf))) ?? []) {
      frames.push({ kind: 'sample', ...stampOf(sample), frame: JSON.stringify({ kind: 'sample', ...sample }) });
    }
  }
  const lists = await newestChunk(parts.sql, host, 'processes');
  if (lists) {
    for (const list of (await decode(parts, host, 'raw', lists.minute, () => decodeProcesses(lists.data))) ?? []) {
      frames.push({ kind: 'processes', ...stampOf(list), frame: JSON.stringify({ kind: 'processes', ...list }) });
    }
  }
  return frames.sort((a, b) => b.at - a.at || b.seq - a.seq);
}

const stampOf = ({ at, boot, seq }: Stamp): Stamp => ({ at, boot, seq });

/** Forgets everything a host ever sent. */
export async function deleteHistory(sql: Sql, host: string): Promise<void> {
  // Its row in table host is gone, for which every sealer that held it was waited: none writes for it from now on.
  await deleteWork(sql, host);
  await deleteSamples(sql, host);
  await deleteChunks(sql, host);
  for (const tier of ['10s', '1m', '1h'] as const) await deleteRollups(sql, tier, host);
}

interface Minute {
  minute: number;
  chunk: Buffer | undefined;
  /** What is not, or perhaps not, in the chunk. */
  hot: HotFrame[];
}

async function* pages(
  { sql }: HistoryParts,
  { host, fromMs, toMs }: HistoryRange,
  kind: SampleRow['kind'] = 'sample',
): AsyncGenerator<Minute[]> {
  for (let sinceMs = Math.floor(fromMs / minuteMs) * minuteMs; sinceMs < toMs;) {
    const untilMs = Math.min(sinceMs + pageMinutes * minuteMs, Math.ceil(toMs / minuteMs) * minuteMs);
    const page = await readPage(sql, kind, host, sinceMs, untilMs);
    if (page.length > 0) yield page;
    // A long time without samples costs one question.
    const next = page.length > 0 ? untilMs : await nextMinute(sql, kind, host, untilMs, toMs);
    if (next === undefined) return;
    sinceMs = next;
  }
}

async function readPage(sql: Sql, kind: SampleRow['kind'], host: string, fromMs: number, toMs: number): Promise<Minute[]> {
  const chunks = new Map<number, StoredChunk>((await readChunks(sql, kind, host, fromMs, toMs)).map((chunk) => [chunk.minute, chunk]));
  const open: number[] = [];
  for (let minute = fromMs; minute < toMs; minute += minuteMs) if (!chunks.get(minute)?.whole) open.push(minute);
  const rows = open.length > 0 ? await readHotMinutes(sql, kind, host, open) : [];
  const hot = Map.groupBy(rows, ({ at }) => Math.floor(at / minuteMs) * minuteMs);
  return [...new Set([...chunks.keys(), ...hot.keys()])]
    .sort((a, b) => a - b)
    .map((minute) => ({ minute, chunk: chunks.get(minute)?.data, hot: hot.get(minute) ?? [] }));
}

/** Undefined where the chunk cannot be read, which `corrupt` is told. */
async function decode<T>(parts: HistoryParts, host: string, tier: Tier, at: number, read: () => T): Promise<T | undefined> {
  try {
    return await parts.names.decode(parts.sql, read);
  } catch (error) {
    if (!(error instanceof ChunkError)) throw error;
    parts.corrupt?.(error, { host, tier, at });
    return undefined;
  }
}

const only = (sample: ChunkSample, wanted: (name: string) => boolean): ChunkSample => ({
  ...sample,
  metrics: Object.fromEntries(Object.entries(sample.metrics).filter(([name]) => wanted(name))),
});
