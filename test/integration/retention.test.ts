/** Retention that admins shorten while the hub runs. */

import { expect, onTestFinished, test } from 'vitest';
import { makeTierPartition } from '../../src/data/partitions.ts';
import { tiers } from '../../src/data/tiers.ts';
import type { Storage } from '../../src/protocol/restHistory.ts';
import { startTestApi } from '../support/api.ts';
import { startTestApp } from '../support/app.ts';
import { until } from '../support/until.ts';

const hourMs = 3_600_000;

test('what falls out of a shortened retention is dropped at once; null goes back to the configuration', async () => {
  const { signIn, database } = await startTestApp(onTestFinished);
  const { call } = await signIn();
  const { sql } = database;
  const partitions = async (): Promise<number> => {
    const [row] = await sql<[{ n: number }]>`
      select count(*)::int as n from pg_inherits where inhparent = ${tiers['10s'].table}::regclass`;
    return row.n;
  };
  const retentionOf = async (tier: string): Promise<number | null | undefined> => {
    const { tiers: all } = (await (await call('GET', '/storage')).json()) as Storage;
    return all.find((each) => each.tier === tier)?.retention;
  };
  const before = await partitions();
  const dayMs = tiers['10s'].partitionMs;
  await makeTierPartition(sql, '10s', Math.floor(Date.now() / dayMs - 5) * dayMs);
  expect(await partitions()).toBe(before + 1);

  expect((await call('PUT', '/storage/retention', { '10s': 48 * hourMs })).status).toBe(204);
  await until(async () => (await partitions()) === before, 'the old partition is gone');
  expect(await retentionOf('10s')).toBe(48 * hourMs);

  expect((await call('PUT', '/storage/retention', { '10s': null })).status).toBe(204);
  expect(await retentionOf('10s')).toBe(7 * 24 * hourMs);
});

test('too short, too long and unknown tiers are refused, and so is everyone but an admin', async () => {
  const api = await startTestApi(onTestFinished);
  const admin = await api.signIn();
  const refusal = async (body: unknown): Promise<unknown> => {
    const { status, body: problem } = await admin.ask('PUT', '/api/v1/storage/retention', { body });
    return [status, (problem as { detail: string }).detail];
  };
  expect(await refusal({ raw: 1_000 })).toEqual([400, expect.stringMatching(/^raw: give /)]);
  expect(await refusal({ raw: 1_000 * 24 * hourMs })).toEqual([400, expect.stringMatching(/^raw: give /)]);
  expect(await refusal({ '5m': 10 * hourMs })).toEqual([400, expect.stringContaining('5m')]);
  const member = await api.person('owner');
  expect((await member.ask('PUT', '/api/v1/storage/retention', { body: { raw: 3 * hourMs } })).status).toBe(403);
});
