/** During an update replicas of two versions seal the same minutes: as one after the other, never both at once. */

import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { MetricNames } from '../../src/data/metricNames.ts';
import type { Sealer } from '../../src/data/sealer.ts';
import { countWork } from '../../src/data/sealWork.ts';
import { openDatabase } from '../../src/db/database.ts';
import type { Pool } from '../../src/db/database.ts';
import { freshDatabase } from '../support/database.ts';
import { makeRunFolder } from '../support/hostroom.ts';
import { unpackPrevious } from '../support/previous.ts';
import {
  addHosts,
  checkRollups,
  hourMs,
  insertInPieces,
  minuteMs,
  mixedRows,
  openSince,
  read,
  sealerOf,
  thisMinute,
  times,
} from '../support/sealing.ts';

const hostCount = 16;
const minutes = 6;

/** The sealer of the last release. */
async function previousSealerOf(sql: Pool, batch: number): Promise<Pick<Sealer, 'seal'>> {
  const { root } = unpackPrevious(makeRunFolder(onTestFinished, 'hostroom-versions-'), 'release');
  const load = (file: string): Promise<unknown> => import(/* @vite-ignore */ pathToFileURL(join(root, 'src/data', file)).href);
  const { Sealer: Previous } = (await load('sealer.ts')) as { Sealer: typeof Sealer };
  const { MetricNames: Names } = (await load('metricNames.ts')) as { MetricNames: typeof MetricNames };
  const sealer = new Previous({
    sql,
    clock: { now: () => Date.now() },
    names: new Names(),
    retentionRawMs: 24 * hourMs,
    graceMs: 0,
    batch,
    failed: (error) => {
      throw error;
    },
  });
  onTestFinished(() => sealer.close());
  return sealer;
}

test('sealers of two versions at once, with writers between: every sample in its chunk once', async () => {
  const { sql, url } = await freshDatabase(onTestFinished);
  const pools = await Promise.all([1, 2, 3].map(() => openDatabase({ url, log: pino({ level: 'silent' }), maxConnections: 4 })));
  onTestFinished(async () => void (await Promise.all(pools.map((pool) => pool.close()))));
  const hosts = await addHosts(sql, hostCount);
  const start = thisMinute - minutes * minuteMs;
  await openSince(sql, start);
  const given = mixedRows(hosts, start, thisMinute);
  let writing = true;
  const write = async (): Promise<void> => {
    await insertInPieces(sql, given);
    writing = false;
  };
  const sealers = [
    await previousSealerOf(pools[0]!.sql, 5),
    sealerOf(pools[1]!.sql, { batch: 3 }),
    sealerOf(pools[2]!.sql, { batch: 7, batchBytes: 30_000 }),
  ];
  const rounds = sealers.map(() => 0);
  const seal = async (sealer: Pick<Sealer, 'seal'>, index: number): Promise<void> => {
    while (writing) {
      await sealer.seal();
      rounds[index]! += 1;
    }
  };
  await Promise.all([write(), ...sealers.map(seal)]);
  for (const sealer of sealers) await sealer.seal();
  expect(await countWork(sql)).toBe(0);
  expect(Math.min(...rounds)).toBeGreaterThan(0);
  const [count] = await sql`select count(*)::int as chunks, sum(n)::int as samples, max(n)::int as most from sample_chunk`;
  expect(count).toEqual({ chunks: hostCount * minutes, samples: hostCount * minutes * 60, most: 60 });
  const parts = { sql, names: new MetricNames() };
  await sql`delete from sample_hot`;
  for (const host of hosts) {
    const own = given.filter((row) => row.host === host).sort((a, b) => a.at - b.at);
    expect(times(await read(parts, host, 0, Date.now()))).toEqual(times(own));
    await checkRollups(parts, host, own, start, thisMinute);
  }
});
