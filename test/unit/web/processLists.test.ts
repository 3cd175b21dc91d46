import { expect, test } from 'vitest';
import type { Processes } from '../../../src/protocol/kinds.ts';
import { processesAt, ProcessLists } from '../../../web/src/state/processLists.ts';
import { until } from '../../support/until.ts';

const list = (at: number): Processes => ({ kind: 'processes', at, seq: 1, boot: 'b', top: [] });
const minute = 60_000;

test('older lists are asked for once, where someone points and keeps pointing', async () => {
  const asked: [number, number][] = [];
  const lists = new ProcessLists(async (from, to) => {
    asked.push([from, to]);
    return [list(from + 55_000), list(from + 65_000)];
  });
  lists.add(list(100 * minute));
  lists.add(list(100 * minute + 10_000));
  lists.add(list(100 * minute));
  lists.want(null);
  lists.want(100 * minute + 5_000);
  lists.want(20 * minute);
  lists.want(50 * minute + 3_000);
  // Time goes on under the pointer.
  const moving = setInterval(() => lists.want(50 * minute + 4_000), 20);
  await until(() => lists.all.get().length === 4);
  clearInterval(moving);
  expect(asked).toEqual([[49 * minute, 51 * minute]]);
  const times = (at: number | null): number | undefined => processesAt(lists.all.get(), at)?.at;
  expect([50 * minute + 3_000, 50 * minute + 30_000, 52 * minute, 100 * minute + 1, null].map(times)).toEqual([
    ...[49 * minute + 55_000, 50 * minute + 5_000, undefined, 100 * minute, 100 * minute + 10_000],
  ]);
  lists.want(50 * minute + 40_000);
  lists.close();
  expect(asked).toHaveLength(1);
});

test('what could not be read is asked for again', async () => {
  let tries = 0;
  const lists = new ProcessLists(() => (++tries === 1 ? Promise.reject(new Error('away')) : Promise.resolve([list(minute + 1)])));
  await until(() => {
    lists.want(minute + 5);
    return lists.all.get().length === 1;
  });
  expect(tries).toBe(2);
});
