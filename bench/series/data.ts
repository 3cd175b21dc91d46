/** Builds the history that the reading benchmark reads: hostroom's chunks and rollups, and the rivals' plain rows. */

import type { RollupBlock, RollupSeries } from '../../src/chunks/rollups.ts';
import { encodeRollups } from '../../src/chunks/rollups.ts';
import type { ChunkSample } from '../../src/chunks/samples.ts';
import type { MetricNames } from '../../src/data/metricNames.ts';
import { makeTierPartition } from '../../src/data/partitions.ts';
import { putRollups } from '../../src/data/rollups.ts';
import { hourMs, minuteMs, tiers } from '../../src/data/tiers.ts';
import type { RollupTier } from '../../src/data/tiers.ts';
import type { Pool } from '../../src/db/database.ts';
import { newId } from '../../src/lib/id.ts';
import { lookUp, rounded } from '../../src/protocol/metrics.ts';
import { setListed, storeSealed } from '../../test/support/storedHistory.ts';

export const dayMs = 24 * hourMs;

/** Sixty metrics of a host with four cores, two disks and two interfaces. */
export const metricNames: readonly string[] = [
  ...['busy', 'user', 'nice', 'system', 'irq', 'iowait', 'steal'].map((part) => `cpu.${part}`),
  ...[0, 1, 2, 3].map((core) => `cpu.core${core}.busy`),
  ...['1', '5', '15'].map((minutes) => `load.${minutes}`),
  ...['cpu', 'memory', 'io'].flatMap((of) => [`pressure.${of}.some`, `pressure.${of}.full`]),
  ...['total', 'used', 'available', 'cached', 'faults'].map((part) => `memory.${part}`),
  ...['total', 'used'].map((part) => `swap.${part}`),
  ...['eth0', 'lo'].flatMap((name) =>
    ['receive', 'transmit', 'receive_packets', 'transmit_packets', 'drops'].map((part) => `net.${name}.${part}`),
  ),
  ...['vda', 'vdb'].flatMap((name) => ['read', 'write', 'reads', 'writes', 'busy', 'await'].map((part) => `disk.${name}.${part}`)),
  ...['established', 'retransmitted'].map((part) => `tcp.${part}`),
  ...['running', 'blocked', 'total'].map((part) => `processes.${part}`),
  ...['kernel.context_switches', 'kernel.forks', 'uptime', 'agent.cpu', 'agent.memory', 'agent.spool'],
];

/** What a page with eight charts asks. */
export const asked = [
  'cpu.busy',
  'cpu.iowait',
  'load.1',
  'memory.used',
  'net.eth0.receive',
  'net.eth0.transmit',
  'disk.vda.read',
  'disk.vda.write',
];

/** Wanders like a real value: steady, with noise and sometimes a burst. */
function walker(name: string): () => number {
  const metric = lookUp(name)?.metric;
  const isRatio = metric?.unit === 'ratio';
  const top = isRatio ? 1 : metric?.unit === 'bytes' ? 16e9 : metric?.unit.startsWith('bytes') ? 1e7 : 1_000;
  const still = /total|uptime|steal|nice|swap|drops|full/.test(name);
  let level = top * Math.random() * 0.5;
  return () => {
    if (!still) level = Math.min(top, Math.max(0, level + (Math.random() - 0.5) * top * 0.02));
    const value = still ? level : Math.min(top, level * (0.9 + Math.random() * 0.2) * (Math.random() < 0.01 ? 2 : 1));
    return metric ? rounded(metric, value) : value;
  };
}

export function* makeSamples(fromMs: number, toMs: number): Generator<ChunkSample> {
  const boot = newId();
  const walkers = metricNames.map((name) => [name, walker(name)] as const);
  let seq = 0;
  for (let at = fromMs; at < toMs; at += 1_000) {
    yield { at, seq: ++seq, boot, metrics: Object.fromEntries(walkers.map(([name, next]) => [name, next()])) };
  }
}

export async function makePartitions(sql: Pool, nowMs: number, days: Record<keyof typeof tiers, number>): Promise<void> {
  for (const tier of ['raw', '10s', '1m', '1h'] as const) {
    const lengthMs = tiers[tier].partitionMs;
    for (let at = Math.floor((nowMs - days[tier] * dayMs) / lengthMs) * lengthMs; at < nowMs + lengthMs; at += lengthMs)
      await makeTierPartition(sql, tier, at);
  }
}

/** A day of samples, all sealed. */
export async function storeDay(sql: Pool, names: MetricNames, host: string, samples: readonly ChunkSample[]): Promise<void> {
  await storeSealed(sql, names, host, samples);
  await setListed(sql, samples.at(-1)!.at + 1_000);
}

/** Rollups of a tier without samples beneath. */
export async function storeRollups(
  sql: Pool,
  names: MetricNames,
  host: string,
  tier: RollupTier,
  fromMs: number,
  toMs: number,
): Promise<void> {
  const { rowMs, stepMs } = tiers[tier];
  const { numberOf, keep } = await names.intern(sql, metricNames);
  const walkers = metricNames.map((name) => [name, walker(name)] as const);
  const block = (startMs: number): RollupBlock => {
    const at = Array.from({ length: rowMs / stepMs }, (_, i) => startMs + i * stepMs);
    const series = new Map(
      walkers.map(([name, next]): [string, RollupSeries] => {
        const pairs = at.map(() => [next(), next()].sort((a, b) => a - b) as [number, number]);
        const min = pairs.map(([low]) => low);
        const max = pairs.map(([, high]) => high);
        return [name, { n: at.map(() => stepMs / 1_000), min, avg: min.map((low, i) => (low + max[i]!) / 2), max }];
      }),
    );
    return { at, series };
  };
  for (let at = fromMs; at < toMs;) {
    const rows = [];
    for (; at < toMs && rows.length < 1_000; at += rowMs) rows.push({ host, at, data: encodeRollups(block(at), numberOf) });
    await putRollups(sql, tier, rows);
  }
  keep();
}

/** The same day as one jsonb row per sample with all metrics, and as one row per metric with the asked ones alone. */
export async function storeRivals(sql: Pool, host: string, samples: readonly ChunkSample[]): Promise<void> {
  await sql`create table rival_jsonb (host uuid, at timestamptz, data jsonb, primary key (host, at))`;
  await sql`create table rival_metric (host uuid, name text, at timestamptz, value float8, primary key (host, name, at))`;
  for (let i = 0; i < samples.length; i += 2_000) {
    const some = samples.slice(i, i + 2_000);
    await sql`
      insert into rival_jsonb select ${host}, to_timestamp(at / 1000), data::jsonb
      from unnest(${some.map(({ at }) => at)}::float8[], ${some.map(({ metrics }) => JSON.stringify(metrics))}::text[]) as given (at, data)`;
    const flat = some.flatMap(({ at, metrics }) => asked.map((name) => ({ at, name, value: metrics[name]! })));
    await sql`
      insert into rival_metric select ${host}, name, to_timestamp(at / 1000), value
      from unnest(${flat.map(({ name }) => name)}::text[], ${flat.map(({ at }) => at)}::float8[], ${flat.map(({ value }) => value)}::float8[]) as given (name, at, value)`;
  }
  await sql`analyze rival_jsonb, rival_metric`;
}

export { hourMs, minuteMs };
