import { expect, test } from 'vitest';
import type { Sample } from '../../../src/protocol/kinds.ts';
import { columnsOf, valueAt } from '../../../web/src/charts/columns.ts';
import { statsOf } from '../../../web/src/charts/stats.ts';
import { stripsOf } from '../../../web/src/charts/strips.ts';
import type { Series } from '../../../web/src/charts/strips.ts';
import { Buckets } from '../../../web/src/state/buckets.ts';
import { SampleStore } from '../../../web/src/state/samples.ts';

const sample = (at: number, metrics: Record<string, number>): Sample => ({ kind: 'sample', at, seq: at, boot: 'b', metrics });
const one = (label: string, metrics: string[], look: Series['look'], more: Partial<Series> = {}): Series => ({
  label,
  colour: 1,
  look,
  metrics,
  combine: 'sum',
  format: String,
  ...more,
});

test('a hole breaks every line and is told', () => {
  const store = new SampleStore();
  store.add([sample(1000, { a: 1 }), sample(2000, { a: 2 }), sample(9000, { a: 3 })]);
  const columns = columnsOf(store, [one('a', ['a'], 'line')], 0, 10_000);
  expect(columns.at).toEqual([1000, 2000, 2001, 9000]);
  expect(columns.values[0]).toEqual([1, 2, null, 3]);
  expect(columns.holes).toEqual([{ from: 2000, to: 9000 }]);
});

test('a window in figures, of samples and of buckets', () => {
  const store = new SampleStore();
  store.add([sample(1000, { a: 9 }), sample(2000, { a: 1 }), sample(3000, { b: 1 }), sample(4000, { a: 3 })]);
  expect(statsOf(store, one('a', ['a'], 'line'), 1500, 5000)).toEqual({ newest: 3, lowest: 1, average: 2, highest: 3 });
  expect(statsOf(store, one('a', ['a'], 'line'), 5000, 9000)).toBeUndefined();
  const buckets = new Buckets(store);
  buckets.set({ tier: 'raw', step: 2000, at: [], series: {} }, 0);
  expect(statsOf(buckets, one('a', ['a'], 'line'), 0, 5000)).toEqual({ newest: 3, lowest: 1, average: 13 / 3, highest: 9 });
});

test('stacks add up, mirrored series go down, dotted ones count for the right scale', () => {
  const store = new SampleStore();
  store.add([sample(1000, { u: 0.25, s: 0.5, t: 7, w: 0.9 })]);
  const columns = columnsOf(
    store,
    [one('u', ['u'], 'stack'), one('s', ['s'], 'stack'), one('t', ['t'], 'area', { mirrored: true }), one('w', ['w'], 'dotted')],
    0,
    2000,
  );
  expect(columns.values.map(([value]) => value)).toEqual([0.25, 0.75, -7, expect.closeTo(0.9)]);
  expect(columns.highest).toBe(7);
  expect(columns.highestRight).toBeCloseTo(0.9);
});

test('takes one sample before the window, so that the line reaches the edge', () => {
  const store = new SampleStore();
  store.add([1, 2, 3, 4].map((second) => sample(second * 1000, { a: second })));
  expect(columnsOf(store, [one('a', ['a'], 'line')], 2500, 3500).at).toEqual([2000, 3000, 4000]);
});

test('holds what is read every 10 s, but not over a hole', () => {
  const store = new SampleStore();
  store.add([sample(1000, { a: 1, f: 5 }), sample(2000, { a: 1 }), sample(9000, { a: 1 })]);
  expect(columnsOf(store, [one('f', ['f'], 'line')], 0, 10_000).values[0]).toEqual([5, 5, null, null]);
});

test('puts several metrics together by sum or maximum', () => {
  const store = new SampleStore();
  store.add([sample(1000, { a: 1, b: 4 })]);
  expect(valueAt(store, one('x', ['a', 'b', 'missing'], 'line'), 0)).toBe(5);
  expect(valueAt(store, one('x', ['a', 'b'], 'line', { combine: 'max' }), 0)).toBe(4);
  expect(valueAt(store, one('x', ['missing'], 'line'), 0)).toBeNaN();
});

const names = [
  ...['cpu.user', 'cpu.system', 'cpu.iowait', 'cpu.steal', 'cpu.core10.busy', 'cpu.core2.busy', 'load.1', 'pressure.cpu.some'],
  ...['memory.used', 'memory.cached', 'memory.total', 'net.lo.receive', 'net.lo.transmit', 'net.eth0.receive', 'net.eth0.transmit'],
  ...['disk.vda.read', 'disk.vda.write', 'disk.vda.busy', 'tcp.established', 'tcp.retransmitted'],
];

test('a Linux host has seven strips in their order; cores are in the order of their numbers', () => {
  const strips = stripsOf({ names, latest: { 'memory.total': 8 * 2 ** 30 } });
  expect(strips.map((strip) => strip.id)).toEqual(['cpu', 'memory', 'load', 'network', 'disk', 'temperature', 'tcp']);
  expect(strips[0]!.cores).toEqual(['cpu.core2.busy', 'cpu.core10.busy']);
  expect(strips[3]!.series[0]!.metrics).toEqual(['net.eth0.receive']);
  expect(strips[3]!.headline).toEqual({ text: 'eth0' });
});

test('what is not there says why; what is rare takes no room', () => {
  const strips = stripsOf({ names, latest: { 'swap.total': 0 } });
  expect(strips.find((strip) => strip.id === 'temperature')!.reason).toBe('no sensors on this host');
  expect(strips[1]!.series.map((series) => series.label)).toEqual(['used', 'cache']);
  const withMore = stripsOf({ names: [...names, 'temperature.cpu%20package', 'temperature.nvme0'], latest: { 'swap.total': 1 } });
  expect(withMore[1]!.series.map((series) => series.label)).toEqual(['used', 'cache', 'swap']);
  expect(withMore[5]!.series.map((series) => series.label)).toEqual(['cpu package', 'nvme0']);
});
