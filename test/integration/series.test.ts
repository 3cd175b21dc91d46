/** Charts over REST, from chunks, rollups and rows that wait to be sealed. */

import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import type { ChunkSample } from '../../src/chunks/samples.ts';
import { newId } from '../../src/lib/id.ts';
import type { Series } from '../../src/protocol/restHistory.ts';
import { startTestApi } from '../support/api.ts';
import { setListed, storeHot, storeSealed } from '../support/storedHistory.ts';
import { seedFor } from '../support/seed.ts';
import { until } from '../support/until.ts';

const hub = await startTestApi(afterAll);
const { sql, names } = hub;
const admin = await hub.signIn();
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const floor = (at: number, step: number): number => Math.floor(at / step) * step;

const addHost = async (name: string): Promise<string> => (await admin.post('/hosts', { name })).body.id;
const boot = newId();
const sample = (at: number, metrics: Record<string, number>): ChunkSample => ({ at, seq: Math.floor(at / 1_000), boot, metrics });
const series = async (host: string, query: Record<string, string | number>) =>
  admin.get(`/hosts/${host}/series?${new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)])).toString()}`);

test('columns by metric, aligned, with a gap where nothing was sampled', async () => {
  const host = await addHost('columns');
  const start = floor(Date.now(), minuteMs) - 10 * minuteMs;
  await setListed(sql, start + 2 * minuteMs);
  const of = (second: number, value: number): ChunkSample =>
    sample(start + second * 1_000, { 'cpu.busy': value, 'net.eth0.receive': second, 'net.lo.receive': 0, own: value / 3 });
  await storeSealed(sql, names, host, [of(0, 0.1), of(1, 0.3), of(2, 0.2), of(70, 1)]);
  await storeHot(sql, host, [of(121, 0.5), of(125, 0.7)]);

  const second = await series(host, { metrics: 'cpu.busy,net.*.receive', from: start, to: start + 3_500, points: 100 });
  expect(second).toMatchObject({ status: 200 });
  expect(second.headers.get('content-type')).toContain('application/json');
  expect(second.body).toEqual({
    tier: 'raw',
    step: 1_000,
    at: [0, 1, 2, 3].map((n) => start + n * 1_000),
    series: {
      'cpu.busy': { min: [0.1, 0.3, 0.2, null], avg: [0.1, 0.3, 0.2, null], max: [0.1, 0.3, 0.2, null] },
      'net.eth0.receive': { min: [0, 1, 2, null], avg: [0, 1, 2, null], max: [0, 1, 2, null] },
      'net.lo.receive': { min: [0, 0, 0, null], avg: [0, 0, 0, null], max: [0, 0, 0, null] },
    },
  });
  const minutes = await series(host, { metrics: 'cpu.busy', from: start, to: start + 5 * minuteMs, points: 5 });
  expect(minutes.body).toMatchObject({ tier: '1m', step: minuteMs, at: [0, 1, 2, 3, 4].map((n) => start + n * minuteMs) });
  expect(minutes.body.series).toEqual({
    'cpu.busy': { min: [0.1, 1, 0.5, null, null], avg: [expect.closeTo(0.2, 3), 1, 0.6, null, null], max: [0.3, 1, 0.7, null, null] },
  });
  // Without `to`: until now; without `points`: a thousand at most. What nobody sampled is left out.
  const now = await series(host, { metrics: 'cpu.*,nobody.*,own', from: start });
  expect(Object.keys(now.body.series)).toEqual(['cpu.busy', 'own']);
  expect(now.body.at.length).toBeLessThanOrEqual(1_000);
  expect(now.body.at.at(-1)).toBeGreaterThan(Date.now() - 2 * now.body.step);
  expect(await series(host, { metrics: 'nobody', from: start })).toMatchObject({ status: 200, body: { series: {} } });
  // The future is empty, as is the time before anything.
  for (const from of [Date.now() + 86_400_000, 0]) {
    const empty = await series(host, { metrics: '*', from, to: from + hourMs });
    expect(empty).toMatchObject({ status: 200, body: { series: {} } });
    expect(empty.body.at.length).toBeGreaterThan(0);
  }
});

test.each<[string, Record<string, string | number>, string]>([
  ['no metric', { from: 1 }, 'metrics'],
  ['an empty list', { metrics: ' , ', from: 1 }, 'metrics'],
  ['no beginning', { metrics: 'cpu.busy' }, 'from'],
  ['a range backwards', { metrics: 'cpu.busy', from: 5, to: 4 }, 'to'],
  ['a range of nothing', { metrics: 'cpu.busy', from: 5, to: 5 }, 'to'],
  ['a time before 1970', { metrics: 'cpu.busy', from: -1 }, 'from'],
  ['a time that is none', { metrics: 'cpu.busy', from: 'yesterday' }, 'from'],
  ['a time beyond all', { metrics: 'cpu.busy', from: 0, to: 9e15 }, 'to'],
  ['no points', { metrics: 'cpu.busy', from: 1, points: 0 }, 'points'],
  ['negative points', { metrics: 'cpu.busy', from: 1, points: -1 }, 'points'],
  ['points without end', { metrics: 'cpu.busy', from: 1, points: 1e9 }, 'points'],
  ['half a point', { metrics: 'cpu.busy', from: 1, points: 1.5 }, 'points'],
  ['ten years at one second', { metrics: 'cpu.busy', from: 0, to: 315_360_000_000, points: 315_360_000 }, 'points'],
  ['too many metrics', { metrics: Array.from({ length: 300 }, (_, i) => `m${i}`).join(), from: 1 }, 'metrics'],
  ['an unknown parameter', { metrics: 'cpu.busy', from: 1, step: 5 }, 'step'],
])('%s is refused', async (_, query, field) => {
  const host = await addHost('strict');
  const answer = await series(host, query);
  expect(answer).toMatchObject({ status: 400, body: { code: 'invalid' } });
  expect(answer.body.detail).toMatch(new RegExp(`^${field}\\b`));
});

test('ten thousand metrics, series without end and answers without end are refused', async () => {
  const host = await addHost('wide');
  const start = floor(Date.now(), minuteMs) - 10 * minuteMs;
  const wide = Array.from({ length: 600 }, (_, second) =>
    sample(start + second * 1_000, Object.fromEntries(Array.from({ length: 250 }, (_unused, i) => [`m${i}`, second]))),
  );
  await storeHot(sql, host, wide);
  const all = await series(host, { metrics: '*', from: start });
  expect(all).toMatchObject({ status: 400, body: { code: 'invalid', detail: expect.stringMatching(/^metrics: more than 200 /) } });
  const fine = await series(host, { metrics: 'm1*', from: start, to: start + 10 * minuteMs, points: 5_000 });
  expect(Object.keys(fine.body.series)).toHaveLength(111);
  const long = Array.from({ length: 10_000 }, (_, i) => `metric${i}`).join();
  expect(await series(host, { metrics: long, from: 1 })).toMatchObject({ status: 431, text: expect.stringContaining('head_too_large') });
  const tooLong = await series(host, { metrics: 'a'.repeat(6_001), from: 1 });
  expect(tooLong).toMatchObject({ status: 400, body: { detail: expect.stringMatching(/^metrics/) } });
});

test('a host that one may not see is one that is not there', async () => {
  const host = await addHost('hidden');
  const nobody = await hub.person(undefined);
  expect(await nobody.get(`/hosts/${host}/series?metrics=*&from=0`)).toMatchObject({ status: 404, body: { code: 'not_found' } });
  expect((await admin.get(`/hosts/${newId()}/series?metrics=*&from=0`)).status).toBe(404);
  expect((await admin.get(`/hosts/x/series?metrics=*&from=0`)).status).toBe(400);
  expect((await hub.browser().get(`/hosts/${host}/series?metrics=*&from=0`)).status).toBe(401);
  const viewer = await hub.person('viewer');
  expect((await viewer.get(`/hosts/${host}/series?metrics=*&from=0`)).status).toBe(200);
});

test('a damaged minute is a gap, told of; the rest of the answer still comes', async () => {
  const host = await addHost('damaged');
  const start = floor(Date.now(), hourMs) - 2 * hourMs;
  await setListed(sql, start + hourMs);
  const given = Array.from({ length: 180 }, (_, second) => sample(start + second * 1_000, { 'cpu.busy': 0.5 }));
  await storeSealed(sql, names, host, given);
  const minute = new Date(start + minuteMs).toISOString();
  await sql`update sample_chunk set data = overlay(data placing '\\x00'::bytea from 10) where host = ${host} and minute = ${minute}`;
  await sql`update rollup_1m set data = '\\x0102' where host = ${host} and at = ${minute}`;
  const seconds = await series(host, { metrics: 'cpu.busy', from: start, to: start + 3 * minuteMs, points: 180 });
  const { avg } = seconds.body.series['cpu.busy'];
  expect(avg).toEqual([
    ...Array.from({ length: 60 }, () => 0.5),
    ...Array.from({ length: 60 }, () => null),
    ...Array.from({ length: 60 }, () => 0.5),
  ]);
  const minutes = await series(host, { metrics: 'cpu.busy', from: start, to: start + 3 * minuteMs, points: 3 });
  expect(minutes.body.series['cpu.busy'].avg).toEqual([0.5, null, 0.5]);
  expect(hub.corrupt).toEqual([expect.stringContaining(`raw ${start + minuteMs}`), expect.stringContaining(`1m ${start + minuteMs}`)]);
});

test('who leaves ends the reading in PostgreSQL', async () => {
  const host = await addHost('left');
  // Its rows wait behind this lock.
  const held = await sql.reserve();
  try {
    await held`begin`;
    await held`lock table sample_chunk in access exclusive mode`;
    const leaving = new AbortController();
    const asked = fetch(`${hub.url}/api/v1/hosts/${host}/series?metrics=*&from=${Date.now() - minuteMs}`, {
      headers: { authorization: `Bearer ${admin.token}` },
      signal: leaving.signal,
    });
    const waiting = async (): Promise<number> => {
      const [{ count }] = await sql<[{ count: number }]>`
        select count(*)::int from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
      return count;
    };
    await until(async () => (await waiting()) === 1);
    leaving.abort();
    await expect(asked).rejects.toThrow();
    await until(async () => (await waiting()) === 0);
  } finally {
    await held`rollback`;
    held.release();
  }
  expect((await series(host, { metrics: '*', from: Date.now() - minuteMs })).status).toBe(200);
});

test('admins see what each tier takes and how far back it reaches', async () => {
  const host = await addHost('stored');
  const start = floor(Date.now(), hourMs) - 20 * 24 * hourMs;
  await storeSealed(sql, names, host, [sample(start + minuteMs, { 'cpu.busy': 1 })]);
  await storeHot(sql, host, [sample(start + hourMs, { 'cpu.busy': 1 })]);
  const { status, body } = await admin.get('/storage');
  expect(status).toBe(200);
  expect(body.tiers.map(({ tier }: { tier: string }) => tier)).toEqual(['hot', 'raw', '10s', '1m', '1h']);
  const [hot, raw, , , hours] = body.tiers;
  expect(raw).toMatchObject({ oldest: start + minuteMs, retention: hub.kept.raw, bytes: expect.any(Number) });
  expect(hours).toMatchObject({ oldest: start, retention: hub.kept['1h'] });
  expect(hot).toMatchObject({ retention: null, oldest: start + hourMs });
  for (const { bytes } of body.tiers) expect(bytes).toBeGreaterThan(0);
  expect(await (await hub.person('owner')).get('/storage')).toMatchObject({ status: 403, body: { code: 'forbidden' } });
  expect((await hub.browser().get('/storage')).status).toBe(401);
});

interface Metric {
  n: number;
  min: number;
  max: number;
  sum: number;
}

/** The answer by brute force from every sample. */
function expected(samples: readonly ChunkSample[], { at, step }: Series): Map<string, (Metric | undefined)[]> {
  const found = new Map<string, (Metric | undefined)[]>();
  for (const { at: time, metrics } of samples) {
    const place = Math.floor((time - at[0]!) / step);
    if (place < 0 || place >= at.length) continue;
    for (const [name, value] of Object.entries(metrics)) {
      if (!found.has(name)) found.set(name, Array.from({ length: at.length }));
      const buckets = found.get(name)!;
      const { n, min, max, sum } = buckets[place] ?? { n: 0, min: Infinity, max: -Infinity, sum: 0 };
      buckets[place] = { n: n + 1, min: Math.min(min, value), max: Math.max(max, value), sum: sum + value };
    }
  }
  return found;
}

test('whatever is sealed, late, rolled up or fresh: every chart equals one made from every sample', { timeout: 120_000 }, async () => {
  const seed = seedFor('series');
  const now = Date.now();
  const begin = floor(now, hourMs) - 3 * hourMs;
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        // Gaps between samples, mostly a second, sometimes long.
        gaps: fc.array(
          fc.oneof(
            { weight: 30, arbitrary: fc.integer({ min: 900, max: 12_000 }) },
            { weight: 1, arbitrary: fc.integer({ min: 1, max: 30 * minuteMs }) },
          ),
          {
            minLength: 50,
            maxLength: 1_500,
          },
        ),
        busy: fc.array(fc.integer({ min: 0, max: 1_000 }), { minLength: 20, maxLength: 50 }),
        lateMinutes: fc.uniqueArray(fc.integer({ min: 0, max: 179 }), { maxLength: 10 }),
        openHours: fc.uniqueArray(fc.integer({ min: 0, max: 2 }), { maxLength: 2 }),
        listedMinutes: fc.integer({ min: 0, max: 180 }),
        asked: fc.array(
          fc.record({
            from: fc.integer({ min: -hourMs, max: now - begin }),
            length: fc.oneof(fc.integer({ min: 1, max: 10 * minuteMs }), fc.integer({ min: 1, max: 5 * hourMs })),
            points: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 5_000 })),
            kept: fc.constantFrom(...(['raw', '10s', '1m', '1h'] as const)),
          }),
          { minLength: 8, maxLength: 8 },
        ),
      }),
      async ({ gaps, busy, lateMinutes, openHours, listedMinutes, asked }) => {
        const host = newId();
        await sql`insert into host (id, host_group, name) select ${host}, id, 'random' from host_group where name = 'hosts'`;
        const samples: ChunkSample[] = [];
        let at = begin;
        gaps.forEach((gap, i) => {
          at += gap;
          if (at >= now) return;
          const metrics: Record<string, number> = { own: i / 7 };
          if (i % 5 !== 0) metrics['cpu.busy'] = busy[i % busy.length]! / 1_000;
          if (i % 10 === 0) metrics['fs./.used'] = 4_096 * i;
          samples.push(sample(at, metrics));
        });
        const listed = begin + listedMinutes * minuteMs;
        await setListed(sql, listed);
        const sealed = samples.filter((one) => one.at < listed);
        const late = new Set(lateMinutes.map((minute) => begin + minute * minuteMs).filter((minute) => minute < listed));
        const isLate = ({ at: time }: ChunkSample): boolean => late.has(floor(time, minuteMs)) && Math.floor(time / 1_000) % 2 === 0;
        const open = new Set([...openHours.map((hour) => begin + hour * hourMs), floor(listed, hourMs)]);
        await storeSealed(
          sql,
          names,
          host,
          sealed.filter((one) => !isLate(one)),
          (hour) => !open.has(hour),
        );
        await storeHot(sql, host, [...samples.filter((one) => one.at >= listed), ...sealed.filter(isLate)]);
        for (const minute of late) await sql`insert into seal_work (host, minute) values (${host}, to_timestamp(${minute}::float8 / 1000))`;
        for (const hour of open) {
          await sql`insert into hour_work (host, hour) values (${host}, to_timestamp(${hour}::float8 / 1000)) on conflict do nothing`;
        }
        for (const { from, length, points, kept } of asked) {
          // What is not kept is not asked, which chooses the tier.
          const order = ['raw', '10s', '1m', '1h'] as const;
          for (const tier of order) hub.kept[tier] = order.indexOf(tier) < order.indexOf(kept) ? 0 : 86_400_000;
          const { status, body } = await series(host, {
            metrics: 'cpu.busy,fs.*,own',
            from: begin + from,
            to: begin + from + length,
            points,
          });
          expect(status).toBe(200);
          expect(body.at.length).toBeLessThanOrEqual(points);
          const right = expected(samples, body);
          expect(Object.keys(body.series).sort()).toEqual([...right.keys()].sort());
          for (const [name, buckets] of right) {
            const { min, avg, max } = body.series[name];
            expect(min).toEqual(buckets.map((bucket) => bucket?.min ?? null));
            expect(max).toEqual(buckets.map((bucket) => bucket?.max ?? null));
            buckets.forEach((bucket, i) => {
              if (!bucket) expect(avg[i]).toBe(null);
              else expect(Math.abs(avg[i] - bucket.sum / bucket.n)).toBeLessThanOrEqual(1e-5 + (bucket.max - bucket.min) / 2_000);
            });
          }
        }
      },
    ),
    { seed, numRuns: 50 },
  );
});
