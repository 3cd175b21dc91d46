/** The hub under measurement: real gateway, rules and writer over an embedded PostgreSQL that commits to the disk. */

import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { MetricNames } from '../../src/data/metricNames.ts';
import { PartitionKeeper } from '../../src/data/partitions.ts';
import { Sealer } from '../../src/data/sealer.ts';
import { openDatabase } from '../../src/db/database.ts';
import { startEmbedded } from '../../src/db/embedded.ts';
import { migrate } from '../../src/db/migrate.ts';
import { startTestHub } from '../../test/support/testHub.ts';

export interface Ready {
  url: string;
  databaseUrl: string;
  postmaster: number;
  hosts: { id: string; token: string }[];
}

/** Since the last question. */
export interface Commits {
  /** Seconds from arrival to commit. */
  p50: number;
  p99: number;
  max: number;
  rows: number;
  batches: number;
  refused: number;
  /** Host-minutes. */
  sealed: number;
}

/** For trying out other settings of the writer. */
const setting = (name: string): number | undefined => (process.env[name] === undefined ? undefined : Number(process.env[name]));

const hostCount = Number(process.argv[2]);
const log = pino({ level: 'silent' });
const folder = mkdtempSync(join(tmpdir(), 'hostroom-bench-'));
// Else the server's user could not enter, and its data would lie elsewhere.
chmodSync(folder, 0o755);
const closers: (() => Promise<void>)[] = [() => Promise.resolve(rmSync(folder, { recursive: true, force: true }))];

const embedded = await startEmbedded({ dataDir: join(folder, 'data'), log });
closers.push(() => embedded.close());
const database = await openDatabase({ url: embedded.url, log });
closers.push(() => database.close());
await migrate({ sql: database.sql, log, apply: true });

let seconds: number[] = [];
let batches = 0;
let refused = 0;
let sealed = 0;
const hub = await startTestHub((close) => void closers.push(close), {
  database,
  writer: {
    gatherMs: setting('GATHER_MS'),
    flights: setting('FLIGHTS'),
    committed: (took) => void seconds.push(took),
    batch: () => void batches++,
    refused: (_, rows) => void (refused += rows),
  },
});
const day = 24 * 3_600_000;
const retention = { raw: day, '10s': 7 * day, '1m': 90 * day, '1h': 1_095 * day };
const partitions = new PartitionKeeper({ sql: database.sql, clock: hub.clock, retention: async () => retention, failed: () => undefined });
await partitions.start();
closers.push(() => partitions.close());

const hosts: Ready['hosts'] = [];
for (let n = 0; n < hostCount; n++) {
  const host = await hub.addHost(`host ${n}`);
  hosts.push({ id: host.id, token: await host.token() });
}

// The parent's end is ours, however it came.
process.once('disconnect', () => {
  void (async () => {
    for (let close = closers.pop(); close; close = closers.pop()) await close();
  })();
});
/** Minutes are sealed 5 s after their end, so that a minute of measuring holds the sealing of a whole one. */
const startSealing = (): void => {
  const sealer = new Sealer({
    sql: database.sql,
    clock: hub.clock,
    names: new MetricNames(),
    retentionRawMs: day,
    graceMs: 5_000,
    sealed: (minutes) => void (sealed += minutes),
    failed: (error) => console.error(error),
  });
  sealer.start();
  closers.push(() => sealer.close());
};
process.on('message', (message) => {
  if (message === 'seal') return startSealing();
  const sorted = seconds.toSorted((a, b) => a - b);
  const at = (part: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? NaN;
  process.send?.({ p50: at(0.5), p99: at(0.99), max: at(1), rows: sorted.length, batches, refused, sealed } satisfies Commits);
  seconds = [];
  batches = 0;
  refused = 0;
  sealed = 0;
});
process.send?.({ url: hub.url, databaseUrl: embedded.url, postmaster: embedded.pid(), hosts } satisfies Ready);
