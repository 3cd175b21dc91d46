/** Measures what charts and the fleet cost to read, beside the same questions to plain row-per-sample tables. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { newId } from '../../src/lib/id.ts';
import { readGroupsNow } from '../../src/data/groups.ts';
import { startTestApi } from '../../test/support/api.ts';
import startDatabase from '../../test/support/globalDatabase.ts';
import { show, showSpread, spreadOf, table } from '../support/statistics.ts';
import { asked, dayMs, hourMs, makePartitions, makeSamples, metricNames, minuteMs, storeDay, storeRivals, storeRollups } from './data.ts';

const rounds = Number(process.argv[2] ?? 7);
/** Eight days of minutes: more than a chart ever reads of them. */
const minuteDays = 8;
const quarterDays = 90;

const closers: (() => Promise<void>)[] = [];
closers.push(await startDatabase());
const close = async (): Promise<void> => {
  for (let step = closers.pop(); step; step = closers.pop()) await step();
};
// Else the server would outlive a benchmark that fails or is stopped.
process.once('SIGTERM', () => void close().then(() => process.exit(143)));
process.once('SIGINT', () => void close().then(() => process.exit(130)));
try {
  await measure();
} finally {
  await close();
}

async function measure(): Promise<void> {
  const hub = await startTestApi((step) => void closers.push(step));
  const { sql } = hub;
  const nowMs = Math.floor(Date.now() / hourMs) * hourMs;
  hub.clock.offsetMs = nowMs - Date.now();
  const admin = await hub.signIn();
  const host = (await admin.post('/hosts', { name: 'measured' })).body.id as string;

  const building = performance.now();
  await makePartitions(sql, nowMs, { raw: 1, '10s': 1, '1m': minuteDays, '1h': quarterDays });
  const samples = [...makeSamples(nowMs - dayMs, nowMs)];
  await storeDay(sql, hub.names, host, samples);
  await storeRollups(sql, hub.names, host, '1m', nowMs - minuteDays * dayMs, nowMs - dayMs);
  await storeRollups(sql, hub.names, host, '1h', nowMs - quarterDays * dayMs, nowMs - dayMs);
  await storeRivals(sql, host, samples);
  await sql`vacuum analyze`;
  const [size] = await sql`
  select pg_size_pretty(sum(pg_total_relation_size(inhrelid))) as ours, pg_size_pretty(pg_total_relation_size('rival_jsonb')) as jsonb,
    pg_size_pretty(pg_total_relation_size('rival_metric')) as metric
  from pg_inherits where inhparent in ('sample_chunk'::regclass, 'rollup_10s'::regclass, 'rollup_1m'::regclass, 'rollup_1h'::regclass)`;
  console.log(
    `1 host × ${metricNames.length} metrics × 1 Hz; ${asked.length} series asked; built in ${show((performance.now() - building) / 1000)} s. ` +
      `hostroom: 24 h of chunks and 10 s, ${minuteDays} d of 1 min, ${quarterDays} d of 1 h: ${size!['ours']}; ` +
      `24 h as jsonb rows: ${size!['jsonb']}; as rows of the ${asked.length} asked metrics alone: ${size!['metric']}. ${rounds} interleaved rounds after a warm-up.\n`,
  );

  interface Zoom {
    title: string;
    lengthMs: number;
    points: number;
  }

  const zooms: Zoom[] = [
    { title: '24 h, 1,000 points', lengthMs: dayMs, points: 1_000 },
    { title: '24 h, 5,000 points', lengthMs: dayMs, points: 5_000 },
    { title: '24 h, 24 points', lengthMs: dayMs, points: 24 },
    { title: '8 h, 5,000 points', lengthMs: 8 * hourMs, points: 5_000 },
    { title: '3 h, 5,000 points', lengthMs: 3 * hourMs, points: 5_000 },
    { title: '6 h, 1,000 points', lengthMs: 6 * hourMs, points: 1_000 },
    { title: '1 h, 3,600 points', lengthMs: hourMs, points: 3_600 },
    { title: '10 min, 600 points', lengthMs: 10 * minuteMs, points: 600 },
    { title: '7 d, 1,000 points', lengthMs: 7 * dayMs, points: 1_000 },
    { title: '90 d, 1,000 points', lengthMs: quarterDays * dayMs, points: 1_000 },
    { title: '90 d, 5,000 points', lengthMs: quarterDays * dayMs, points: 5_000 },
  ];

  const pathOf = ({ lengthMs, points }: Zoom): string =>
    `/hosts/${host}/series?metrics=${asked.join()}&from=${nowMs - lengthMs}&to=${nowMs}&points=${points}`;
  const rivals = {
    'jsonb rows': (stepMs: number, lengthMs: number) =>
      sql
        .unsafe(
          `select date_bin($1::float8 * interval '1 ms', at, 'epoch') as bucket,
      ${asked.map((name) => `min((data->>'${name}')::float8), avg((data->>'${name}')::float8), max((data->>'${name}')::float8)`).join()}
    from rival_jsonb where host = $2 and at >= to_timestamp($3::float8 / 1000) and at < to_timestamp($4::float8 / 1000) group by 1 order by 1`,
          [stepMs, host, nowMs - lengthMs, nowMs],
          { prepare: true },
        )
        .values(),
    'rows per metric': (stepMs: number, lengthMs: number) =>
      sql
        .unsafe(
          `select name, date_bin($1::float8 * interval '1 ms', at, 'epoch') as bucket, min(value), avg(value), max(value)
    from rival_metric where host = $2 and name = any($5::text[]) and at >= to_timestamp($3::float8 / 1000) and at < to_timestamp($4::float8 / 1000)
    group by 1, 2 order by 1, 2`,
          [stepMs, host, nowMs - lengthMs, nowMs, asked as unknown as string],
          { prepare: true },
        )
        .values(),
  };

  async function timed(work: () => Promise<unknown>): Promise<number> {
    const began = performance.now();
    await work();
    return performance.now() - began;
  }

  const rows: string[][] = [];
  const results: object[] = [];
  for (const zoom of zooms) {
    const got = await admin.get(pathOf(zoom));
    if (got.status !== 200) throw new Error(got.text);
    const answer = got.body as { tier: string; step: number; at: number[]; series: object };
    const cpuMs: number[] = [];
    const took: Record<string, number[]> = { hostroom: [], 'jsonb rows': [], 'rows per metric': [] };
    for (let round = 0; round <= rounds; round++) {
      const before = process.cpuUsage();
      const times: Record<string, number> = { hostroom: await timed(() => admin.get(pathOf(zoom))) };
      const used = process.cpuUsage(before);
      if (round > 0) cpuMs.push((used.user + used.system) / 1_000);
      if (zoom.lengthMs <= dayMs) {
        for (const [name, ask] of Object.entries(rivals))
          times[name] = await timed(async () => JSON.stringify(await ask(answer.step, zoom.lengthMs)));
      }
      if (round > 0) for (const [name, ms] of Object.entries(times)) took[name]!.push(ms);
    }
    const spreads = Object.fromEntries(Object.entries(took).map(([name, values]) => [name, spreadOf(values)]));
    results.push({ ...zoom, tier: answer.tier, stepMs: answer.step, ms: spreads, cpuMs });
    rows.push([
      zoom.title,
      answer.tier,
      `${answer.step / 1000} s × ${answer.at.length}`,
      ...Object.values(spreads).map(showSpread),
      showSpread(spreadOf(cpuMs)),
    ]);
  }
  console.log(
    table(['range', 'tier', 'buckets', 'hostroom ms, over HTTP', 'jsonb rows ms', 'rows per metric ms', 'CPU ms of hub and client'], rows),
  );

  const group = (await admin.get('/groups')).body.items[0].id as string;
  const fleet = Array.from({ length: 1_000 }, () => newId());
  const inventory = JSON.stringify({
    os: 'Debian GNU/Linux 13',
    cpu: 'AMD EPYC',
    cores: 4,
    disks: Array.from({ length: 4 }, (_, i) => ({ name: `vd${i}`, size: 1e12 })),
  });
  await sql`
  insert into host (id, host_group, name, inventory, online, seen_at, last_sample_at)
  select id, ${group}, 'host ' || n, ${inventory}::text::jsonb, true, now(), now() from unnest(${fleet}::uuid[]) with ordinality as given (id, n)`;
  await sql`create table rival_latest (host uuid, at timestamptz, data jsonb, primary key (host, at))`;
  await sql`
  insert into rival_latest select id, now() - second * interval '1 s', ${JSON.stringify(samples[0]!.metrics)}::text::jsonb
  from unnest(${fleet}::uuid[]) id, generate_series(1, 60) second`;
  await sql`vacuum analyze`;
  const questions: [string, () => Promise<unknown>][] = [
    ['GET /hosts, 100 of 1,000', () => admin.get('/hosts')],
    ['GET /hosts, 200 of 1,000', () => admin.get('/hosts?limit=200')],
    ['state of all 1,000 for the fleet room', () => readGroupsNow(sql, [group])],
    [
      'rival: newest of 60 jsonb rows of each of 1,000',
      () => sql`select distinct on (host) host, at, data from rival_latest order by host, at desc`,
    ],
  ];
  const times = questions.map((): number[] => []);
  for (let round = 0; round <= rounds; round++) {
    for (const [i, [, ask]] of questions.entries()) {
      const ms = await timed(ask);
      if (round > 0) times[i]!.push(ms);
    }
  }
  console.log(
    `\n${table(
      ['fleet', 'ms'],
      questions.map(([title], i) => [title, showSpread(spreadOf(times[i]!))]),
    )}`,
  );

  mkdirSync('.cache/bench', { recursive: true });
  writeFileSync(
    join('.cache/bench', 'series.json'),
    JSON.stringify({ zooms: results, fleet: questions.map(([title], i) => ({ title, ms: times[i] })) }, undefined, 2),
  );
}
