/** Hosts with samples in the past, a sealer for them, and what must come of it. */

import { expect, onTestFinished } from 'vitest';
import type { ChunkSample } from '../../src/chunks/samples.ts';
import { readRaw, readRollups } from '../../src/data/history.ts';
import type { HistoryParts } from '../../src/data/history.ts';
import { MetricNames } from '../../src/data/metricNames.ts';
import { insertSamples, type SampleRow } from '../../src/data/samples.ts';
import { Sealer } from '../../src/data/sealer.ts';
import type { SealerOptions } from '../../src/data/sealer.ts';
import type { Pool } from '../../src/db/database.ts';
import { newId } from '../../src/lib/id.ts';

export const minuteMs = 60_000;
export const hourMs = 60 * minuteMs;
export const thisMinute = Math.floor(Date.now() / minuteMs) * minuteMs;
export const boot = newId();

export async function addHosts(sql: Pool, count: number): Promise<string[]> {
  const group = newId();
  await sql`insert into host_group (id, name) values (${group}, ${group})`;
  const hosts = Array.from({ length: count }, () => newId());
  for (const id of hosts) await sql`insert into host (id, host_group, name) values (${id}, ${group}, ${id})`;
  return hosts;
}

export const valueAt = (at: number): number => Math.round((0.5 + Math.sin(at / 7_000) / 2) * 1_000) / 1_000;
export const sampleRow = (host: string, at: number, over: Partial<SampleRow> = {}): SampleRow => {
  const seq = Math.floor(at / 1_000) % 1_000_000;
  const metrics = { 'cpu.busy': valueAt(at), 'memory.used': 4_096 * (seq % 77), own: at / 3 };
  return { host, kind: 'sample', at, boot, seq, frame: JSON.stringify({ kind: 'sample', at, seq, boot, metrics }), ...over };
};
export const processesRow = (host: string, at: number): SampleRow => {
  const top = [{ pid: 1, name: 'init', user: 'root', cpu: 0.1, memory: 4096, io: 0 }];
  return { host, kind: 'processes', at, boot, seq: 1, frame: JSON.stringify({ kind: 'processes', at, seq: 1, boot, top }) };
};
/** A sample per second. */
export const rows = (host: string, fromMs: number, toMs: number): SampleRow[] =>
  Array.from({ length: Math.ceil((toMs - fromMs) / 1_000) }, (_, i) => sampleRow(host, fromMs + i * 1_000));

/** The samples of several hosts, mixed, each minute of a host in many pieces, so that whoever seals it has to merge. */
export const mixedRows = (hosts: readonly string[], fromMs: number, toMs: number): SampleRow[] =>
  hosts.flatMap((host) => rows(host, fromMs, toMs)).sort((a, b) => ((a.at * 7) % 1_009) - ((b.at * 7) % 1_009));

export async function insertInPieces(sql: Pool, given: readonly SampleRow[]): Promise<void> {
  for (let i = 0; i < given.length; i += 100) await insertSamples(sql, given.slice(i, i + 100));
}

export function sealerOf(sql: Pool, over: Partial<SealerOptions> = {}): Sealer {
  const sealer = new Sealer({
    sql,
    clock: { now: () => Date.now() },
    names: new MetricNames(),
    retentionRawMs: 24 * hourMs,
    graceMs: 0,
    failed: (error) => {
      throw error;
    },
    ...over,
  });
  onTestFinished(() => sealer.close());
  return sealer;
}

/** Moves the end of what is closed back, as if the hub had run since then. */
export const openSince = (sql: Pool, atMs: number) =>
  sql`update seal_state set closed_until = to_timestamp(${atMs}::float8 / 1000), listed_until = to_timestamp(${atMs}::float8 / 1000)`;

export async function read(parts: HistoryParts, host: string, fromMs: number, toMs: number): Promise<ChunkSample[]> {
  const all: ChunkSample[] = [];
  for await (const page of readRaw(parts, { host, fromMs, toMs })) all.push(...page);
  return all;
}

export const times = (samples: { at: number }[]): number[] => samples.map(({ at }) => at);

/** What the rollups of a tier must be, straight from what was inserted. */
export async function checkRollups(parts: HistoryParts, host: string, given: SampleRow[], fromMs: number, toMs: number): Promise<void> {
  for (const [tier, stepMs] of [
    ['10s', 10_000],
    ['1m', minuteMs],
  ] as const) {
    const expected = Map.groupBy(given, ({ at }) => Math.floor(at / stepMs) * stepMs);
    const seen = new Set<number>();
    for await (const { at, series } of readRollups(parts, tier, { host, fromMs, toMs })) {
      at.forEach((start, i) => {
        seen.add(start);
        const values = expected.get(start)!.map((row) => valueAt(row.at));
        const { n, min, avg, max } = series.get('cpu.busy')!;
        expect({ start, n: n[i], min: min[i], max: max[i] }).toEqual({
          start,
          n: values.length,
          min: Math.min(...values),
          max: Math.max(...values),
        });
        expect(avg[i]).toBeCloseTo(values.reduce((a, b) => a + b, 0) / values.length, 3);
      });
    }
    expect([...seen]).toEqual([...expected.keys()].filter((start) => start >= fromMs && start < toMs).sort((a, b) => a - b));
  }
}
