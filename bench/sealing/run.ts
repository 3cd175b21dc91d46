/** Measures how fast one replica, or several at once, seal what waits: `npm run bench -- sealing [hosts minutes sealers,… recording]`. */

import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { PartitionKeeper } from '../../src/data/partitions.ts';
import { insertSamples } from '../../src/data/samples.ts';
import { openDatabase } from '../../src/db/database.ts';
import type { Pool } from '../../src/db/database.ts';
import { startEmbedded } from '../../src/db/embedded.ts';
import { migrate } from '../../src/db/migrate.ts';
import { newId } from '../../src/lib/id.ts';
import { postgresSeconds } from '../support/postgres.ts';
import { show, table } from '../support/statistics.ts';
import { recordingAt } from '../storage/recording.ts';
import { replay } from '../storage/replay.ts';
import type { Recording } from '../storage/replay.ts';
import type { Share } from './sealer.ts';

const hostCount = Number(process.argv[2] ?? 300);
const minutes = Number(process.argv[3] ?? 3);
const sealerCounts = (process.argv[4] ?? '1,3').split(',').map(Number);
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
const end = Math.floor(Date.now() / hourMs) * hourMs;
const start = end - minutes * minuteMs;
const log = pino({ level: 'silent' });

/** A database with hosts whose minutes are over and wait. */
async function fill(sql: Pool, recording: Recording): Promise<void> {
  await migrate({ sql, log, apply: true });
  const hosts = Array.from({ length: hostCount }, () => newId());
  const group = newId();
  await sql`insert into host_group (id, name) values (${group}, 'bench')`;
  for (const id of hosts) await sql`insert into host (id, host_group, name) values (${id}, ${group}, ${id})`;
  const since = new Date(start).toISOString();
  await sql`update seal_state set closed_until = ${since}::timestamptz, listed_until = ${since}::timestamptz`;
  const retention = { raw: dayMs, '10s': 7 * dayMs, '1m': 90 * dayMs, '1h': 1_095 * dayMs };
  const failed = (error: unknown): void => console.error(error);
  await new PartitionKeeper({ sql, clock: { now: () => end }, retention: async () => retention, failed }).keep();
  for (const [i, host] of hosts.entries()) {
    const rows = replay(recording, host, i / hostCount, start, end);
    for (let from = 0; from < rows.length; from += 1_000) await insertSamples(sql, rows.slice(from, from + 1_000));
  }
}

async function startSealer(url: string): Promise<ChildProcess> {
  const child = fork(join(import.meta.dirname, 'sealer.ts'), [url, String(end + 2 * minuteMs), String(hostCount * minutes)]);
  await once(child, 'message');
  return child;
}

async function measure(sealers: number, recording: Recording): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'hostroom-bench-'));
  // Else the server's user could not enter, and its data would lie elsewhere.
  chmodSync(folder, 0o755);
  const embedded = await startEmbedded({ dataDir: join(folder, 'data'), log });
  try {
    const { sql, close } = await openDatabase({ url: embedded.url, log });
    await fill(sql, recording);
    await close();
    const children = await Promise.all(Array.from({ length: sealers }, () => startSealer(embedded.url)));
    const before = { postgres: postgresSeconds(embedded.pid()), ms: performance.now() };
    const shares = await Promise.all(
      children.map(async (child): Promise<Share> => {
        child.send('seal');
        const [share] = (await once(child, 'message')) as [Share];
        return share;
      }),
    );
    const tookSeconds = (performance.now() - before.ms) / 1000;
    const sealed = shares.reduce((sum, share) => sum + share.minutes, 0);
    const each = (seconds: number): string => show((1000 * seconds) / sealed);
    return [
      String(sealers),
      show(sealed / tookSeconds),
      each(shares.reduce((sum, share) => sum + share.cpuSeconds, 0)),
      each(postgresSeconds(embedded.pid()) - before.postgres),
      shares.map((share) => `${Math.round((100 * share.minutes) / sealed)} %`).join(', '),
      show(Math.max(...shares.map((share) => share.longestTurnMs))),
    ];
  } finally {
    await embedded.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

const recording = recordingAt(process.argv[5]);
const rows: string[][] = [];
for (const sealers of sealerCounts) rows.push(await measure(sealers, recording));
console.log(
  `${hostCount} hosts × ${minutes} min of ${recording.metrics} metrics at 1 Hz that wait, sealed by replicas in processes of their own:\n`,
);
const head = ['replicas', 'host-minutes/s', 'hub ms each', 'PostgreSQL ms each', 'shares', 'longest turn of a loop, ms'];
console.log(table(head, rows));
