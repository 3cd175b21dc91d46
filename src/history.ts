/** Opens what keeps the samples of the past: their partitions, the sealer that makes chunks of closed minutes, what reads them. */

import type { Closers } from './lib/closers.ts';
import type { Config } from './config.ts';
import { MetricNames } from './data/metricNames.ts';
import { PartitionKeeper } from './data/partitions.ts';
import { configuredKept, Retention } from './data/retention.ts';
import { Sealer } from './data/sealer.ts';
import type { Pool } from './db/database.ts';
import { Reader } from './db/reader.ts';
import type { Clock } from './lib/clock.ts';
import type { Log } from './ops/log.ts';
import type { Metrics } from './ops/metrics.ts';

export interface History {
  retention: Retention;
  partitions: PartitionKeeper;
  names: MetricNames;
  /** For the caller to close, once nobody asks any more. */
  reader: Reader;
  /** Tells of a chunk that cannot be read. */
  corrupt(error: Error, where: object): void;
}

export interface HistoryOptions {
  config: Config;
  sql: Pool;
  clock: Clock;
  log: Log;
  metrics: Metrics;
  closers: Closers;
  /** Something failed that nobody waits for. */
  failed(error: unknown, what: string): void;
}

/** Pushes what it opens on `closers`, but for the reader. */
export async function openHistory({ config, sql, clock, log, metrics, closers, failed }: HistoryOptions): Promise<History> {
  const retention = new Retention(sql, configuredKept(config.retention));
  const partitions = new PartitionKeeper({
    sql,
    clock,
    retention: () => retention.refresh(),
    failed: (error) => failed(error, 'keeping partitions'),
    measured: metrics.storage,
  });
  await partitions.start();
  closers.add('partitions', () => partitions.close());

  const names = new MetricNames();
  const corrupt = (error: Error, where: object): void => {
    metrics.error('chunk');
    metrics.corruptChunk();
    log.error({ err: error, ...where }, 'a chunk of history cannot be read; what it holds is missing in answers');
  };
  const sealer = new Sealer({
    sql,
    clock,
    names,
    retentionRawMs: config.retention.rawMs,
    sealed: metrics.sealed,
    took: metrics.sealSeconds,
    expired: (minutes) => metrics.dropped('minute_expired', minutes),
    corrupt,
    failed: (error) => failed(error, 'sealing minutes'),
  });
  sealer.start();
  closers.add('sealer', () => sealer.close());
  return { retention, partitions, names, reader: new Reader({ sql }), corrupt };
}
