/** Hosts as series: exact values, counters made of rates, bounds against hostile agents, pages that Prometheus takes. */

import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { hostMetrics } from '../../src/ops/hostMetrics.ts';
import { HostSeriesKeeper, type Reading } from '../../src/ops/hostSeries.ts';
import { nodeMetrics } from '../../src/ops/nodeMetrics.ts';
import { catalogue, metricName } from '../../src/protocol/metrics.ts';
import { needs } from '../support/needs.ts';

const start = 1_700_000_000_000;

/** A keeper with one host, asked once so that it counts. */
function watching(first: Record<string, number> = {}) {
  let dropped = 0;
  let nowMs = 0;
  const keeper = new HostSeriesKeeper(
    (count) => (dropped += count),
    () => nowMs,
  );
  let sample: Reading = { at: start, metrics: first };
  const host = () => ({ id: 'h1', name: 'web "1"', group: 'g', sample });
  keeper.ask([host()]);
  return {
    keeper,
    dropped: () => dropped,
    pass: (ms: number) => (nowMs += ms),
    tell: (afterMs: number, metrics: Record<string, number>) => {
      sample = { at: sample.at + afterMs, metrics };
      keeper.observe('h1', sample);
    },
    node: async () => valuesOf(await textOf(nodeMetrics([host()], keeper.ask([host()])))),
    own: async () => valuesOf(await textOf(hostMetrics([host()], keeper.ask([host()])))),
    page: () => textOf(nodeMetrics([host()], keeper.ask([host()]))),
  };
}

/** By series, without the labels that each has. */
const textOf = async (page: AsyncIterable<string>): Promise<string> => (await Array.fromAsync(page)).join('');
const valuesOf = (page: string): Record<string, number> =>
  Object.fromEntries(
    page
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => {
        const end = line.lastIndexOf(' ');
        return [
          line
            .slice(0, end)
            .replace(/instance="web \\"1\\"",host="h1",?/, '')
            .replace('{}', ''),
          Number(line.slice(end + 1)),
        ];
      }),
  );

test('what node_exporter tells as it is now is exact', async () => {
  const host = watching();
  host.tell(1_000, {
    'memory.total': 1_000,
    'memory.available': 400,
    'swap.total': 100,
    'swap.used': 30,
    'load.5': 1.5,
    uptime: 3_600,
    'fs./var/lib.total': 500,
    'fs./var/lib.used': 200,
    'fs./var/lib.available': 250,
    'temperature.k10temp Tctl': 45.5,
  });
  const at = 'device="unknown",fstype="unknown",mountpoint="/var/lib"';
  expect(await host.node()).toEqual({
    'node_uname_info{nodename="web \\"1\\""}': 1,
    node_time_seconds: start / 1_000 + 1,
    node_boot_time_seconds: start / 1_000 + 1 - 3_600,
    node_memory_MemTotal_bytes: 1_000,
    node_memory_MemAvailable_bytes: 400,
    node_memory_SwapTotal_bytes: 100,
    node_memory_SwapFree_bytes: 70,
    node_load5: 1.5,
    [`node_filesystem_size_bytes{${at}}`]: 500,
    [`node_filesystem_free_bytes{${at}}`]: 300,
    [`node_filesystem_avail_bytes{${at}}`]: 250,
    'node_hwmon_temp_celsius{chip="k10temp Tctl",sensor="input"}': 45.5,
  });
});

test('a counter grows by each rate times the seconds it stood for', async () => {
  const host = watching({ 'net.eth0.receive': 10 });
  host.tell(1_000, { 'net.eth0.receive': 100 });
  host.tell(1_000, { 'net.eth0.receive': 50 });
  // One sample was lost: the agent's rate covers both seconds.
  host.tell(2_000, { 'net.eth0.receive': 20 });
  // A hole where the agent could not tell a rate counts nothing.
  host.tell(1_000, {});
  expect((await host.node())['node_network_receive_bytes_total{device="eth0"}']).toBe(190);
});

test('nothing is made up for a pause, and slower agents are counted all the same', async () => {
  const host = watching({ 'kernel.forks': 1 });
  host.tell(600_000, { 'kernel.forks': 1 });
  expect((await host.node())['node_forks_total']).toBe(0);
  const slow = watching({ 'kernel.forks': 1 });
  slow.tell(60_000, { 'kernel.forks': 1 });
  slow.tell(60_000, { 'kernel.forks': 1 });
  expect((await slow.node())['node_forks_total']).toBe(60);
});

test('counters never go back while an agent stays', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.integer({ min: -5_000, max: 20_000 }), fc.double({ min: 0, max: 1e9, noNaN: true }))),
      async (steps) => {
        const host = watching({ 'disk.sda.read': 0 });
        let before = 0;
        for (const [afterMs, rate] of steps) {
          host.tell(afterMs, { 'disk.sda.read': rate });
          const now = (await host.node())['node_disk_read_bytes_total{device="sda"}'] ?? before;
          expect(now).toBeGreaterThanOrEqual(before);
          before = now;
        }
      },
    ),
  );
});

test('seconds of the processors add up to the time that passed, by core and by mode', async () => {
  const modes = { 'cpu.user': 0.3, 'cpu.nice': 0.05, 'cpu.system': 0.1, 'cpu.irq': 0.03, 'cpu.steal': 0.02, 'cpu.iowait': 0.1 };
  const sample = { 'cpu.busy': 0.5, ...modes, 'cpu.core0.busy': 0.8, 'cpu.core1.busy': 0.2 };
  const host = watching(sample);
  for (let second = 0; second < 10; second++) host.tell(1_000, sample);
  const values = Object.entries(await host.node()).filter(([name]) => name.startsWith('node_cpu_seconds_total'));
  const sum = (part: string): number => values.filter(([name]) => name.includes(part)).reduce((all, [, value]) => all + value, 0);
  for (const cpu of ['cpu="0"', 'cpu="1"']) expect(sum(cpu)).toBeCloseTo(10, 4);
  for (const mode of ['user', 'nice', 'system', 'irq', 'steal', 'iowait'] as const)
    expect(sum(`mode="${mode}"`)).toBeCloseTo(modes[`cpu.${mode}`] * 2 * 10, 4);
  expect(sum('mode="idle"')).toBeCloseTo(0.4 * 2 * 10, 4);
});

test('what comes every 10 s stands in between, a device that went is gone', async () => {
  const host = watching();
  host.tell(1_000, { 'fs./.total': 5, 'load.1': 1 });
  for (let second = 0; second < 12; second++) host.tell(1_000, { 'load.1': 1 });
  expect((await host.own())['hostroom_host_fs_total_bytes{host="h1",device="/"}']).toBe(5);
  for (let second = 0; second < 20; second++) host.tell(1_000, { 'load.1': 1 });
  expect((await host.own())['hostroom_host_fs_total_bytes{host="h1",device="/"}']).toBeUndefined();
});

test('an agent that invents devices gets no more series than one sample may carry, and that is counted', async () => {
  const host = watching();
  for (let round = 0; round < 5; round++)
    host.tell(1_000, Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`net.x${round}-${index}.receive`, 1])));
  expect(Object.keys(await host.own()).length).toBeLessThanOrEqual(2_002);
  expect(host.dropped()).toBe(3_000);
  // An hour later there is room again.
  host.tell(3_700_000, { 'net.eth0.receive': 1 });
  expect(await host.own()).toHaveProperty('hostroom_host_net_receive{host="h1",device="eth0"}');
  expect((await host.own())['hostroom_host_series']).toBe(2);
});

test('nothing is kept for hosts that went, and nothing counted while nobody asks', async () => {
  const host = watching({ 'kernel.forks': 1 });
  host.tell(1_000, { 'kernel.forks': 1 });
  expect((await host.node())['node_forks_total']).toBe(1);
  host.pass(301_000);
  host.tell(1_000, { 'kernel.forks': 1 });
  // Begins again: a restart for Prometheus.
  expect((await host.node())['node_forks_total']).toBe(0);
  expect(host.keeper.ask([]).size).toBe(0);
  host.tell(1_000, { 'kernel.forks': 1 });
  expect(host.keeper.ask([{ id: 'h1', sample: undefined }]).size).toBe(1);
});

const everything = Object.fromEntries(catalogue.map(({ name }, index) => [metricName(name, '0'), index / 100]));

needs('promtool').test('promtool takes both pages; it minds nothing but the capitals in names of node_exporter', async () => {
  const host = watching(everything);
  host.tell(1_000, everything);
  const check = (page: string) => spawnSync('promtool', ['check', 'metrics'], { input: page, encoding: 'utf8' });
  const node = check(await host.page());
  const minded = (node.stdout + node.stderr).split('\n').filter((line) => line !== '');
  expect(
    minded.filter(
      (line) =>
        !/^node_(memory|netstat|sockstat)_\w+ (metric names should be written in 'snake_case' not 'camelCase'|counter metrics should have "_total" suffix)$/.test(
          line,
        ) && !/^node_vmstat_\w+ counter metrics should have "_total" suffix$/.test(line),
    ),
  ).toEqual([]);
  // 3: style only; 1 would be a page that cannot be read.
  expect(node.status).toBe(3);
});
