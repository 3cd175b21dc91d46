/** Replicas share the sealing by parts of the hosts: each minute once, no part kept by one that is stuck, none beside an older build. */

import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { insertSamples } from '../../src/data/samples.ts';
import { countWork, listMinutes, parts, tryLock } from '../../src/data/sealWork.ts';
import type { Part } from '../../src/data/sealWork.ts';
import { isAway, openDatabase } from '../../src/db/database.ts';
import type { Pool } from '../../src/db/database.ts';
import { freshDatabase } from '../support/database.ts';
import { addHosts, minuteMs, openSince, rows, sealerOf, thisMinute } from '../support/sealing.ts';
import { until } from '../support/until.ts';

const partOf = (host: string): Part => host.at(-1) as Part;

async function anotherPool(url: string): Promise<Pool> {
  const database = await openDatabase({ url, log: pino({ level: 'silent' }) });
  onTestFinished(() => database.close());
  return database.sql;
}

/** Hosts of at least three parts, with so many minutes each that are over. */
async function hostsWithMinutes(sql: Pool, count: number, minutes: number): Promise<string[]> {
  let hosts: string[];
  do hosts = await addHosts(sql, count);
  while (new Set(hosts.map(partOf)).size < 3);
  const start = thisMinute - minutes * minuteMs;
  await openSince(sql, start);
  for (const host of hosts) await insertSamples(sql, rows(host, start, thisMinute));
  return hosts;
}

const chunksOf = async (sql: Pool): Promise<string[]> =>
  (await sql<{ host: string }[]>`select distinct host from sample_chunk order by host`).map((row) => row.host);

test('three replicas share the work: every host-minute is sealed once, and each replica has its share', async () => {
  const { sql, url } = await freshDatabase(onTestFinished);
  const hosts = await hostsWithMinutes(sql, 64, 2);
  const sealed = [0, 0, 0];
  let merged = 0;
  const seal = async (i: number): Promise<void> => {
    const sealer = sealerOf(await anotherPool(url), {
      batch: 2,
      sealed: (minutes, again) => {
        sealed[i]! += minutes;
        merged += again;
      },
    });
    // Who comes before the minutes are listed finds nothing yet.
    while (sealed.reduce((a, b) => a + b) < 2 * hosts.length) await sealer.seal();
  };
  await Promise.all(sealed.map((_, i) => seal(i)));
  expect(await countWork(sql)).toBe(0);
  expect({ sealed: sealed.reduce((a, b) => a + b), merged }).toEqual({ sealed: 128, merged: 0 });
  const [count] = await sql`select count(*)::int as chunks, sum(n)::int as samples from sample_chunk`;
  expect(count).toEqual({ chunks: 128, samples: 7_680 });
  for (const share of sealed) expect(share).toBeGreaterThanOrEqual(10);
});

test('a part whose holder hangs is left out, then taken from it', async () => {
  const { sql, url } = await freshDatabase(onTestFinished);
  const hosts = await hostsWithMinutes(sql, 12, 1);
  await listMinutes(sql, thisMinute - minuteMs, thisMinute);
  await openSince(sql, thisMinute);
  const stuckPart = partOf(hosts[0]!);
  const other = await anotherPool(url);
  let isHeld = false;
  const hanging = expect(
    other.begin(async (tx) => {
      isHeld = await tryLock(tx, stuckPart);
      // It waits for no statement of its own: were it idle, PostgreSQL would end it after 10 s.
      expect(await tx`show idle_in_transaction_session_timeout`).toEqual([{ idle_in_transaction_session_timeout: '10s' }]);
      await tx`select pg_sleep(25)`;
    }),
  ).rejects.toSatisfy(isAway);
  await until(() => isHeld);
  await sealerOf(sql).seal();
  const held = hosts.filter((host) => partOf(host) === stuckPart);
  expect(await countWork(sql)).toBe(held.length);
  expect(await chunksOf(sql)).toEqual(hosts.filter((host) => !held.includes(host)).sort());

  const sealer = sealerOf(sql, { stuckMs: 1 });
  await until(async () => {
    await sealer.seal();
    return (await countWork(sql)) === 0;
  });
  await hanging;
  expect(await chunksOf(sql)).toEqual([...hosts].sort());
});

test('an older build, which seals all hosts alone, and this one keep out of each other’s way', async () => {
  const { sql, url } = await freshDatabase(onTestFinished);
  const hosts = await hostsWithMinutes(sql, 6, 1);
  const old = await anotherPool(url);
  /** What builds before there were parts ask before each transaction of sealing. */
  const oldTries = (tx: Parameters<typeof tryLock>[0]) =>
    tx<{ mine: boolean }[]>`select pg_try_advisory_xact_lock(${7_205_759_405}) as mine`;
  await old.begin(async (tx) => {
    expect(await oldTries(tx)).toEqual([{ mine: true }]);
    await sealerOf(sql).seal();
    expect(await chunksOf(sql)).toEqual([]);
  });
  await sql.begin(async (tx) => {
    expect(await tryLock(tx, parts[0])).toBe(true);
    await old.begin(async (theirs) => {
      expect(await oldTries(theirs)).toEqual([{ mine: false }]);
    });
    // Another replica of this build goes on.
    const third = await anotherPool(url);
    await third.begin(async (theirs) => {
      expect(await tryLock(theirs, parts[0])).toBe(false);
      expect(await tryLock(theirs, parts[1])).toBe(true);
    });
  });
  await sealerOf(sql).seal();
  expect(await chunksOf(sql)).toEqual([...hosts].sort());
});

test('a host-minute that PostgreSQL refuses keeps no other host waiting', async () => {
  const { sql } = await freshDatabase(onTestFinished);
  const hosts = await hostsWithMinutes(sql, 40, 1);
  const refused = hosts[0]!;
  await sql.unsafe(`alter table rollup_1m add check (host <> '${refused}')`);
  const sealer = sealerOf(sql);
  await until(async () => {
    await expect(sealer.seal()).rejects.toMatchObject({ code: '23514' });
    return (await countWork(sql)) === 1;
  });
  expect(await chunksOf(sql)).toEqual(hosts.slice(1).sort());
  expect(await sql`select host from seal_work where tries > 0`).toEqual([{ host: refused }]);
});
