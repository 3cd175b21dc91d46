/** Charts while the sealer works: before, between and after its rounds they show every committed sample. */

import { expect, onTestFinished, test } from 'vitest';
import { insertSamples } from '../../src/data/samples.ts';
import type { SampleRow } from '../../src/data/samples.ts';
import type { Series } from '../../src/protocol/restHistory.ts';
import { startTestApi } from '../support/api.ts';
import { addHosts, hourMs, minuteMs, openSince, sampleRow, sealerOf, thisMinute, valueAt } from '../support/sealing.ts';

test('each tier shows every committed sample, sealed or not, late or in time', { timeout: 60_000 }, async () => {
  const hub = await startTestApi(onTestFinished);
  const { sql } = hub;
  const admin = await hub.signIn();
  const [host = ''] = await addHosts(sql, 1);
  const begin = thisMinute - 150 * minuteMs;
  const end = thisMinute - 2_000;
  await openSince(sql, begin);
  const all = Array.from({ length: Math.floor((end - begin) / 2_000) }, (_, i) => sampleRow(host, begin + i * 2_000));
  const isLate = ({ at }: SampleRow): boolean => Math.floor(at / minuteMs) % 17 === 0 || (at / 1_000) % 97 === 0;
  const stored: SampleRow[] = [];
  const store = async (rows: SampleRow[]): Promise<void> => {
    for (let i = 0; i < rows.length; i += 2_000) await insertSamples(sql, rows.slice(i, i + 2_000));
    stored.push(...rows);
  };
  const check = async (): Promise<void> => {
    const order = ['raw', '10s', '1m', '1h'] as const;
    for (const tier of order) {
      for (const other of order) hub.kept[other] = order.indexOf(other) < order.indexOf(tier) ? 0 : 24 * hourMs;
      const { status, body } = await admin.get(`/hosts/${host}/series?metrics=cpu.busy&from=${begin}&to=${thisMinute}&points=5000`);
      expect(status).toBe(200);
      const { at, step, series, tier: used } = body as Series;
      expect(used).toBe(tier);
      const { min, avg, max } = series['cpu.busy']!;
      const values = Map.groupBy(stored, (row) => Math.floor((row.at - at[0]!) / step));
      at.forEach((_, i) => {
        const inside = values.get(i)?.map((row) => valueAt(row.at));
        if (!inside) {
          expect([min[i], avg[i], max[i]]).toEqual([null, null, null]);
          return;
        }
        expect([min[i], max[i]]).toEqual([Math.min(...inside), Math.max(...inside)]);
        expect(avg[i]).toBeCloseTo(inside.reduce((a, b) => a + b, 0) / inside.length, 3);
      });
    }
  };
  const sealer = sealerOf(sql);

  await store(all.filter((row) => !isLate(row)));
  await check();
  await sealer.seal();
  await check();
  // Late samples wait in their list, and change charts at once.
  await store(all.filter(isLate));
  await check();
  await sealer.seal();
  await check();
  expect(hub.corrupt).toEqual([]);
});
