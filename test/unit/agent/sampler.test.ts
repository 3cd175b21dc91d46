import { expect, test } from 'vitest';
import { HubClock } from '../../../agent/clock.ts';
import { createLog } from '../../../agent/log.ts';
import type { Collector, Readings } from '../../../agent/readings.ts';
import { isUnderStress, Sampler, type ProcessScan } from '../../../agent/sampler.ts';
import { every } from '../../../agent/schedule.ts';
import { until } from '../../support/until.ts';

function newSampler(
  read: (readings: Readings) => void,
  scanProcesses?: ProcessScan,
): { sampler: Sampler; lines: string[]; clock: HubClock } {
  const lines: string[] = [];
  const clock = new HubClock();
  const collectors: Collector[] = [
    { name: 'tested', read, close: () => {} },
    { name: 'other', read: (readings) => readings.put('uptime', 5), close: () => {} },
  ];
  const log = createLog('info', (line) => lines.push(JSON.parse(line).msg));
  return { sampler: new Sampler({ boot: 'b', intervalMs: 1_000, clock, collectors, scanProcesses, log }), lines, clock };
}

test('a failing collector is one missing group, told once, tried again ever more seldom, told when it is back', () => {
  let fails = true;
  let tries = 0;
  const { sampler, lines } = newSampler((readings) => {
    tries += 1;
    if (fails) throw new Error('no such file');
    readings.put('load.1', 1);
  });
  for (let second = 0; second < 300; second += 1) {
    expect(sampler.takeSample(second * 1_000)[0]!.body).toBe('"metrics":{"uptime":5}');
  }
  expect(tries).toBeLessThan(13);
  expect(lines).toEqual(['collector failed, its metrics are missing']);
  fails = false;
  expect(sampler.takeSample(400_000)[0]!.body).toBe('"metrics":{"load.1":1,"uptime":5}');
  expect(lines).toEqual(['collector failed, its metrics are missing', 'collector works again']);
});

test('numbers count without a hole over all kinds, times grow', () => {
  const { sampler, clock } = newSampler(
    () => {},
    () => [{ pid: 1, name: 'init', user: 'root', cpu: 0, memory: 1, io: 0 }],
  );
  const unstamped = sampler.takeSample(0);
  expect(unstamped.map(({ seq, kind, at }) => [seq, kind, at])).toEqual([
    [1, 'sample', undefined],
    [2, 'processes', undefined],
  ]);
  clock.sync(1_000_000, 0, 0);
  const drafts = Array.from({ length: 25 }, (_, second) => sampler.takeSample((second + 1) * 1_000)).flat();
  expect(drafts.map((draft) => draft.seq)).toEqual(drafts.map((_, index) => index + 3));
  for (const [index, draft] of drafts.entries()) expect(draft.at!).toBeGreaterThan(drafts[index - 1]?.at ?? 0);
  expect(drafts.filter((draft) => draft.kind === 'processes').map((draft) => draft.takenMs)).toEqual([10_001, 20_001]);
});

test('under stress the top processes come at once, but at most every five seconds', () => {
  const { sampler } = newSampler(
    (readings) => {
      readings.put('memory.total', 100);
      readings.put('memory.used', readings.nowMs >= 7_000 ? 95 : 10);
    },
    () => [{ pid: 1, name: 'init', user: 'root', cpu: 0, memory: 1, io: 0 }],
  );
  const times = Array.from({ length: 20 }, (_, second) => sampler.takeSample(second * 1_000))
    .flat()
    .filter((draft) => draft.kind === 'processes')
    .map((draft) => draft.takenMs - 1);
  expect(times).toEqual([0, 7_000, 12_000, 17_000]);
});

test.each([
  [{ 'cpu.busy': 0.91 }, true],
  [{ 'cpu.busy': 0.9 }, false],
  [{ 'memory.used': 91, 'memory.total': 100 }, true],
  [{ 'pressure.io.some': 0.21 }, true],
  [{}, false],
])('%j is stress: %s', (metrics, expected) => {
  expect(isUnderStress(metrics as Record<string, number>)).toBe(expected);
});

test('nonsense does not get into a sample, and no more than the hub takes', () => {
  const { sampler } = newSampler((readings) => {
    readings.put('load.1', Number.NaN);
    readings.put('load.5', -1);
    readings.put('temperature.outside', -5);
    readings.put('load.15', undefined);
    for (let index = 0; index < 3_000; index += 1) readings.putFor('net.*.receive', `if${index}`, 1.4);
  });
  const { metrics } = JSON.parse(`{${sampler.takeSample(0)[0]!.body}}`);
  expect(Object.keys(metrics)).toHaveLength(2_000);
  expect(metrics).not.toHaveProperty('load%2E1');
  expect(metrics['temperature.outside']).toBe(-5);
  expect(metrics['net.if0.receive']).toBe(1);
  expect('load.1' in metrics || 'load.5' in metrics || 'load.15' in metrics).toBe(false);
});

test('the schedule keeps its grid and makes up for nothing', async () => {
  const at: number[] = [];
  const schedule = every(50, (nowMs) => {
    at.push(nowMs);
    // One call takes as long as four.
    if (at.length === 3) while (performance.now() - nowMs < 200) Math.sqrt(nowMs);
  });
  await until(() => at.length >= 8);
  schedule.stop();
  // As many calls as steps of the grid at most, however late some were: nothing comes in a burst.
  expect(at.length).toBeLessThanOrEqual(Math.floor((at.at(-1)! - at[0]!) / 50) + 2);
  expect(at[3]! - at[2]!).toBeGreaterThanOrEqual(200);
});
