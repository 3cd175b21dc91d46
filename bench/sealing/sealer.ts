/** One replica's sealer, in a process of its own: says that it is ready, seals when told, until all is sealed. */

import { setTimeout } from 'node:timers/promises';
import { pino } from 'pino';
import { MetricNames } from '../../src/data/metricNames.ts';
import { Sealer } from '../../src/data/sealer.ts';
import { openDatabase } from '../../src/db/database.ts';

/** Of one sealer, from the word to the end of all work. */
export interface Share {
  minutes: number;
  cpuSeconds: number;
  /** The longest the loop was held up. */
  longestTurnMs: number;
}

const dayMs = 24 * 3_600_000;
const [url = '', now = '', hostMinutes = ''] = process.argv.slice(2);
const { sql, close } = await openDatabase({ url, log: pino({ level: 'silent' }) });
let minutes = 0;
const sealer = new Sealer({
  sql,
  clock: { now: () => Number(now) },
  names: new MetricNames(),
  retentionRawMs: dayMs,
  sealed: (count) => (minutes += count),
  failed: (error) => console.error(error),
});

process.once('message', () => void seal());
process.send?.('ready');

async function seal(): Promise<void> {
  const before = process.cpuUsage();
  let longestTurnMs = 0;
  let lastMs = performance.now();
  const ticks = setInterval(() => {
    longestTurnMs = Math.max(longestTurnMs, performance.now() - lastMs - 1);
    lastMs = performance.now();
  }, 1);
  for (;;) {
    await sealer.seal();
    const [row] = await sql<[{ sealed: number }]>`select count(*)::int as sealed from sample_chunk where kind = 'sample'`;
    if (row.sealed >= Number(hostMinutes)) break;
    // The others are at the rest, or at listing it.
    await setTimeout(20);
  }
  clearInterval(ticks);
  const { user, system } = process.cpuUsage(before);
  await close();
  process.send?.({ minutes, cpuSeconds: (user + system) / 1e6, longestTurnMs } satisfies Share);
  process.disconnect?.();
}
