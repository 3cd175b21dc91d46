import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  catalogue,
  decodeDevice,
  encodeDevice,
  fromScaled,
  lookUp,
  metricName,
  prometheusName,
  rounded,
  toScaled,
} from '../../src/protocol/metrics.ts';

test('the names of the contract are all there', () => {
  const fixed = [
    ...['busy', 'user', 'system', 'iowait', 'steal', 'core0.busy', 'core127.busy'].map((part) => `cpu.${part}`),
    ...['total', 'used', 'available', 'cached'].map((part) => `memory.${part}`),
    'swap.total',
    'swap.used',
    'load.1',
    'load.15',
    'uptime',
    'tcp.established',
    'tcp.retransmitted',
    ...['cpu', 'memory', 'io'].flatMap((part) => [`pressure.${part}.some`, `pressure.${part}.full`]),
    ...['receive', 'transmit', 'receive_errors', 'transmit_errors', 'drops'].map((part) => `net.eth0.${part}`),
    ...['read', 'write', 'busy'].map((part) => `disk.nvme0n1.${part}`),
    ...['total', 'used', 'inodes_used'].map((part) => `fs./var/lib.${part}`),
    'temperature.coretemp-0',
    'processes.running',
    'processes.total',
    'agent.cpu',
    'agent.memory',
    'agent.spool',
  ];
  expect(fixed.filter((name) => !lookUp(name))).toEqual([]);
});

test('every name stands once', () => {
  expect(new Set(catalogue.map((metric) => metric.name)).size).toBe(catalogue.length);
  expect(new Set(catalogue.map(prometheusName)).size).toBe(catalogue.length);
});

test('a device comes back as it was', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, maxLength: 40, unit: 'binary' }), (device) => {
      const part = encodeDevice(device);
      expect(part).not.toMatch(/[.\s*,]/);
      expect(decodeDevice(part)).toBe(device);
      expect(lookUp(metricName('net.*.receive', device))).toEqual({
        metric: catalogue.find((one) => one.name === 'net.*.receive'),
        device,
      });
    }),
  );
});

test.each([
  ['cpu.busy', undefined],
  ['cpu.core12.busy', '12'],
  ['net.eth0%2E100.receive', 'eth0.100'],
  ['fs./mnt/my%20disk.used', '/mnt/my disk'],
  ['temperature.k10temp Tctl', 'k10temp Tctl'],
])('%s has the device %s', (name, device) => {
  expect(lookUp(name)?.device).toBe(device);
});

test.each([
  '',
  '.',
  'net',
  'net..receive',
  'net.*.receive.x',
  'cpu.corex.busy',
  'cpu.core*.busy',
  'fs./a.b.used',
  'nothing.here',
  '__proto__',
  'constructor.x',
])('unknown: %j', (name) => {
  expect(lookUp(name)).toBeUndefined();
});

test('scaling keeps the digits that carry meaning', () => {
  const ratio = lookUp('cpu.busy')!.metric;
  expect(rounded(ratio, 0.123456)).toBe(0.123);
  expect(toScaled(ratio, 0.1235)).toBe(124);
  expect(fromScaled(ratio, 124)).toBe(0.124);
  expect(rounded(lookUp('memory.total')!.metric, 2 ** 45 + 0.4)).toBe(2 ** 45);
});

test('no exported name ends like a counter or a histogram', () => {
  for (const metric of catalogue) expect(prometheusName(metric)).toMatch(/^hostroom_host_[a-z0-9_]+(?<!_total|_count|_sum|_bucket|_info)$/);
});

test('the documentation lists them all', () => {
  const text = readFileSync(new URL('../../docs/agent.md', import.meta.url), 'utf8');
  expect(
    catalogue.filter(({ name, title }) => !new RegExp(`\\| \`${name.replace('*', '<\\w+>')}\` \\|[^|]*\\| ${title} \\|`).test(text)),
  ).toEqual([]);
});
