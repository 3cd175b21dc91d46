/** Puts the samples of host-minutes into their chunks and makes the rollups anew from what is in them. */

import { ChunkError } from '../chunks/bytes.ts';
import { decodeProcesses, encodeProcesses } from '../chunks/processes.ts';
import type { ChunkProcesses } from '../chunks/processes.ts';
import { encodeRollups, rollUp } from '../chunks/rollups.ts';
import { decodeChunk, encodeChunk, toColumns } from '../chunks/samples.ts';
import type { ChunkSample, SampleColumns } from '../chunks/samples.ts';
import type { Sql } from '../db/database.ts';
import { turns } from '../ops/turns.ts';
import type { Processes, Sample } from '../protocol/kinds.ts';
import { findChunks, keepCorruptChunk, putChunks } from './chunks.ts';
import type { ChunkRow } from './chunks.ts';
import type { MetricNames } from './metricNames.ts';
import { findRolledUp, putRollups } from './rollups.ts';
import type { RollupRow } from './rollups.ts';
import { deleteLeftovers, holdHosts, noteHours, putBack, readHot } from './sealWork.ts';
import type { HotRow, SealWork } from './sealWork.ts';
import { hourMs } from './tiers.ts';

export interface SealEvents {
  /** Host-minutes sealed, and how many of them had a chunk already. */
  sealed?(minutes: number, merged: number): void;
  /** Told of a chunk that cannot be read, or of a host-minute that cannot be written; the latter is tried `maxTries` times. */
  corrupt?(error: Error, where: { host: string; kind: string; minute: number }): void;
  /** Samples of minutes whose chunks retention has dropped already: they stay rows as long as the retention allows, and replace nothing. */
  expired?(minutes: number): void;
}

/** A host-minute that cannot be put into a chunk must not keep the others waiting. */
const maxTries = 5;

interface Contents {
  samples: ChunkSample[];
  columns: SampleColumns;
  processes: ChunkProcesses[];
  /** Samples of a chunk that could not be read are missing here; what was rolled up of them must stay. */
  incomplete: boolean;
  merged: boolean;
}

/** One host-minute as it will be stored. */
interface Sealed {
  chunks: ChunkRow[];
  tenSeconds: RollupRow | undefined;
  minute: RollupRow | undefined;
}

export interface SealParts extends SealEvents {
  names: MetricNames;
}

/**
 * Within the caller's transaction, which has the lock and took this work from the list. The merged content stands for itself: doing it
 * again, or for more samples, gives the same. Returns what to do once it is committed.
 */
export async function sealMinutes(
  parts: SealParts,
  sql: Sql,
  work: readonly SealWork[],
  { expiredBeforeMs, leftoversBeforeMs }: { expiredBeforeMs: number; leftoversBeforeMs: number },
): Promise<() => void> {
  const hosts = await holdHosts(sql, [...new Set(work.map((one) => one.host))]);
  const held = work.filter((one) => hosts.has(one.host));
  const stored = Map.groupBy(await findChunks(sql, held), keyOf);
  // Rolled up, yet without a chunk: it went when the retention was shorter.
  const bare = held.filter((one) => one.minute < leftoversBeforeMs && !stored.has(keyOf(one)));
  const gone = new Set(bare.length > 0 ? (await findRolledUp(sql, bare)).map(keyOf) : []);
  const wanted = held.filter((one) => one.minute >= expiredBeforeMs && !gone.has(keyOf(one)));
  const expired = held.length - wanted.length;
  if (wanted.length === 0) return () => parts.expired?.(expired);

  const rows = await readHot(sql, wanted);
  const hot = Map.groupBy(rows, keyOf);
  const given = wanted.filter((one) => hot.has(keyOf(one)));
  const contents: [SealWork, Contents][] = [];
  for await (const one of turns(given)) contents.push([one, await merge(parts, sql, hot.get(keyOf(one))!, stored.get(keyOf(one)) ?? [])]);
  const names = await parts.names.intern(sql, namesIn(contents.map(([, content]) => content)));

  const sealed: Sealed[] = [];
  let merged = 0;
  for await (const [one, content] of turns(contents)) {
    try {
      sealed.push(encode(one, content, names.numberOf));
      if (content.merged) merged++;
    } catch (error) {
      if (!(error instanceof ChunkError)) throw error;
      parts.corrupt?.(error, { ...one, kind: 'sample' });
      if (one.tries + 1 < maxTries) await putBack(sql, [{ ...one, tries: one.tries + 1 }]);
      hot.delete(keyOf(one));
    }
  }
  const defined = <T>(value: T | undefined): value is T => value !== undefined;
  await putChunks(
    sql,
    sealed.flatMap((one) => one.chunks),
  );
  await putRollups(sql, '10s', sealed.map((one) => one.tenSeconds).filter(defined));
  await putRollups(sql, '1m', sealed.map((one) => one.minute).filter(defined));
  await noteHours(
    sql,
    given.map(({ host, minute }) => ({ host, hour: Math.floor(minute / hourMs) * hourMs })),
  );
  const leftovers = [...hot.values()].flat().filter((row) => row.minute < leftoversBeforeMs);
  if (leftovers.length > 0) await deleteLeftovers(sql, leftovers);
  return () => {
    names.keep();
    parts.sealed?.(sealed.length, merged);
    if (expired > 0) parts.expired?.(expired);
  };
}

const keyOf = ({ host, minute }: { host: string; minute: number }): string => `${host} ${minute}`;

function namesIn(contents: readonly Contents[]): Set<string> {
  const names = new Set<string>();
  for (const { columns } of contents) for (const name of columns.series.keys()) names.add(name);
  return names;
}

/** Hot rows and what the chunks have; of two publications with the same time the stored one stays. */
async function merge(parts: SealParts, sql: Sql, hot: readonly HotRow[], chunks: readonly ChunkRow[]): Promise<Contents> {
  const samples = new Map<number, ChunkSample>();
  const processes = new Map<number, ChunkProcesses>();
  for (const { kind, at, boot, seq, frame } of hot) {
    if (kind === 'sample') samples.set(at, { at, boot, seq, metrics: (JSON.parse(frame) as Sample).metrics });
    else processes.set(at, { at, boot, seq, top: (JSON.parse(frame) as Processes).top });
  }
  const { names } = parts;
  let incomplete = false;
  for (const chunk of chunks) {
    try {
      if (chunk.kind === 'processes') for (const list of decodeProcesses(chunk.data)) processes.set(list.at, list);
      else for (const sample of await names.decode(sql, () => decodeChunk(chunk.data, names.nameOf))) samples.set(sample.at, sample);
    } catch (error) {
      if (!(error instanceof ChunkError)) throw error;
      parts.corrupt?.(error, chunk);
      await keepCorruptChunk(sql, chunk);
      incomplete ||= chunk.kind === 'sample';
    }
  }
  const ascending = (a: { at: number }, b: { at: number }): number => a.at - b.at;
  const inOrder = [...samples.values()].sort(ascending);
  return {
    samples: inOrder,
    columns: toColumns(inOrder),
    processes: [...processes.values()].sort(ascending),
    incomplete,
    merged: chunks.length > 0,
  };
}

function encode({ host, minute }: SealWork, content: Contents, numberOf: (name: string) => number | undefined): Sealed {
  const { samples, columns, processes } = content;
  const chunks: ChunkRow[] = [];
  if (samples.length > 0) chunks.push({ host, kind: 'sample', minute, n: samples.length, data: encodeChunk(samples, numberOf, columns) });
  if (processes.length > 0) chunks.push({ host, kind: 'processes', minute, n: processes.length, data: encodeProcesses(processes) });
  if (samples.length === 0 || content.incomplete) return { chunks, tenSeconds: undefined, minute: undefined };
  return {
    chunks,
    tenSeconds: { host, at: minute, data: encodeRollups(rollUp(columns, 10_000), numberOf) },
    minute: { host, at: minute, data: encodeRollups(rollUp(columns, 60_000), numberOf) },
  };
}
