/** The agent's figures against independent readings: every rate must lie between what was counted strictly inside and around it. */

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmdirSync } from 'node:fs';
import { createConnection, createServer, type AddressInfo } from 'node:net';
import { platform, tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { linuxCollectors } from '../../agent/collectors/linux/linux.ts';
import { newBoot } from '../../agent/identity.ts';
import { createLog } from '../../agent/log.ts';
import { HubClock } from '../../agent/clock.ts';
import { Sampler } from '../../agent/sampler.ts';
import { lookUp } from '../../src/protocol/metrics.ts';
import { needs } from '../support/needs.ts';
import { until } from '../support/until.ts';

const isLinux = platform() === 'linux';
const has = (command: string): boolean => isLinux && spawnSync('which', [command]).status === 0;

const faults: string[] = [];

/** A sampler over this machine; `take` gives the metrics of one moment. */
function newSampler(hostRoot = ''): { take: () => { metrics: Record<string, number>; nowMs: number }; close: () => void } {
  const { collectors, scanProcesses } = linuxCollectors(hostRoot);
  const log = createLog('info', (line) => faults.push(line));
  const sampler = new Sampler({ boot: newBoot(), intervalMs: 1_000, clock: new HubClock(), collectors, scanProcesses, log });
  return {
    take: () => {
      const nowMs = performance.now();
      const sample = sampler.takeSample(nowMs).find((draft) => draft.kind === 'sample');
      return { metrics: JSON.parse(`{${sample!.body}}`).metrics, nowMs };
    },
    close: () => {
      for (const collector of collectors) collector.close();
    },
  };
}

interface Bracket {
  metrics: Record<string, number>;
  seconds: number;
  /** A counter's increase is at least `least` and at most `most`, by readings inside and around both samples. */
  bounds: Map<string, { least: number; most: number }>;
}

/** Takes two samples with readings of `counters` before and after each; `work` runs between them. */
async function bracket(counters: () => Map<string, number>, work: () => Promise<void>): Promise<Bracket> {
  const sampler = newSampler();
  const outer = counters();
  const first = sampler.take();
  const inner = counters();
  await work();
  await until(() => performance.now() - first.nowMs > 1_000);
  const innerEnd = counters();
  const second = sampler.take();
  const outerEnd = counters();
  sampler.close();
  const bounds = new Map<string, { least: number; most: number }>();
  for (const [name, value] of outer) {
    bounds.set(name, { least: innerEnd.get(name)! - inner.get(name)!, most: outerEnd.get(name)! - value });
  }
  return { metrics: second.metrics, seconds: (second.nowMs - first.nowMs) / 1_000, bounds };
}

function expectWithin({ metrics, seconds, bounds }: Bracket, name: string, counter: string): void {
  const { least, most } = bounds.get(counter)!;
  const metric = lookUp(name)!.metric;
  // Half a unit of the last digit is rounding.
  const slack = (0.5 / 10 ** metric.decimals) * seconds + 1e-6;
  const counted = metrics[name]! * seconds;
  expect(counted, `${name} against ${counter}, ${least} to ${most}`).toBeGreaterThanOrEqual(least - slack);
  expect(counted, `${name} against ${counter}, ${least} to ${most}`).toBeLessThanOrEqual(most + slack);
}

const lines = (path: string): string[] => readFileSync(path, 'latin1').trim().split('\n');
const words = (line: string | undefined): string[] => (line ?? '').trim().split(/\s+/);

/** Some traffic over loopback, some forks, some writing. */
async function stir(): Promise<void> {
  const server = createServer((socket) => socket.end('x'.repeat(10_000)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  for (let index = 0; index < 5; index += 1) {
    execFileSync('true');
    await new Promise((resolve) =>
      createConnection((server.address() as AddressInfo).port, '127.0.0.1')
        .resume()
        .on('close', resolve),
    );
  }
  await new Promise((resolve) => server.close(resolve));
}

test.skipIf(!isLinux)('rates agree with own arithmetic over /proc', async () => {
  const [nic] = lines('/proc/net/dev')
    .slice(2)
    .map(words)
    .filter(([name, received]) => /^(eth|en|wl|bond)/.test(name!) && Number(received) > 0)
    .map(([name]) => name!.slice(0, -1));
  const [disk] = lines('/proc/diskstats')
    .map(words)
    .map((fields) => fields[2]!)
    .filter((name) => /^(vd[a-z]|sd[a-z]|xvd[a-z]|nvme\d+n\d+)$/.test(name));
  const counters = (): Map<string, number> => {
    const found = new Map<string, number>();
    for (const line of [...lines('/proc/stat'), ...lines('/proc/vmstat')]) {
      const [name, value] = words(line);
      if (/^(ctxt|processes|pgfault|pgmajfault)$/.test(name!)) found.set(name!, Number(value));
    }
    const [, ...net] = nic ? words(lines('/proc/net/dev').find((line) => line.includes(`${nic}:`))) : [];
    if (nic) found.set('received', Number(net[0])).set('transmitted', Number(net[8])).set('packets', Number(net[1]));
    const block = disk ? words(lines('/proc/diskstats').find((line) => line.includes(` ${disk} `))) : [];
    if (disk) found.set('written', Number(block[9]) * 512).set('writes', Number(block[7]));
    const tcp = lines('/proc/net/snmp').filter((line) => line.startsWith('Tcp:'));
    found.set('retransmitted', Number(words(tcp[1])[words(tcp[0]).indexOf('RetransSegs')]));
    return found;
  };
  const result = await bracket(counters, stir);
  expectWithin(result, 'kernel.context_switches', 'ctxt');
  expectWithin(result, 'kernel.forks', 'processes');
  // Per-processor counters are summed while others count on, so a reading may lag the one before.
  expect(result.metrics['memory.faults']).toBeGreaterThan(0);
  expectWithin(result, 'tcp.retransmitted', 'retransmitted');
  if (nic) {
    expectWithin(result, `net.${nic}.receive`, 'received');
    expectWithin(result, `net.${nic}.transmit`, 'transmitted');
    expectWithin(result, `net.${nic}.receive_packets`, 'packets');
  }
  if (disk) {
    expectWithin(result, `disk.${disk}.write`, 'written');
    expectWithin(result, `disk.${disk}.writes`, 'writes');
  }
  expect(result.metrics['kernel.forks']! * result.seconds).toBeGreaterThanOrEqual(4.9);
});

test.skipIf(!isLinux)('processor shares agree with own arithmetic over /proc/stat', async () => {
  const times = (): number[] => words(lines('/proc/stat')[0]).slice(1, 9).map(Number);
  const sampler = newSampler();
  sampler.take();
  const before = times();
  const beganMs = performance.now();
  // Keeps one core busy, so that there is something to see.
  while (performance.now() - beganMs < 1_000) Math.sqrt(beganMs);
  const after = times();
  const { metrics } = sampler.take();
  sampler.close();
  const increases = after.map((value, index) => value - before[index]!);
  const all = increases.reduce((sum, one) => sum + one, 0);
  // Both look at nearly the same second; a few ticks of 10 ms lie between them.
  const tolerance = 8 / all;
  expect(Math.abs(metrics['cpu.user']! - increases[0]! / all)).toBeLessThan(tolerance);
  expect(Math.abs(metrics['cpu.busy']! - (1 - (increases[3]! + increases[4]!) / all))).toBeLessThan(tolerance);
  const parts = ['user', 'nice', 'system', 'irq', 'steal'].reduce((sum, part) => sum + metrics[`cpu.${part}`]!, 0);
  expect(parts).toBeCloseTo(metrics['cpu.busy']!, 2);
});

test.skipIf(!isLinux)('all of a sample is known to the catalogue and plausible', async () => {
  const sampler = newSampler();
  sampler.take();
  await until(() => Object.keys(sampler.take().metrics).some((name) => name.startsWith('fs.')));
  const fromMs = performance.now();
  await until(() => performance.now() - fromMs > 150);
  const { metrics } = sampler.take();
  sampler.close();
  expect(Object.keys(metrics).filter((name) => !lookUp(name))).toEqual([]);
  for (const [name, value] of Object.entries(metrics)) {
    if (lookUp(name)!.metric.unit === 'ratio') expect(value, name).toBeLessThanOrEqual(1);
    expect(Number.isFinite(value), name).toBe(true);
  }
  expect(metrics['memory.used']! + metrics['memory.available']!).toBe(metrics['memory.total']);
  expect(metrics['processes.total']).toBeGreaterThan(1);
  // Only what this machine cannot have may be missing, said once each.
  expect(faults.filter((line) => !/pressure/.test(line))).toEqual([]);
});

test.skipIf(!has('vmstat'))('memory agrees with vmstat', () => {
  const figures = new Map(
    execFileSync('vmstat', ['-s', '-S', 'k'], { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } })
      .split('\n')
      .map((line) => /^\s*(\d+) (?:k )?(.*)$/i.exec(line))
      .filter((match) => match !== null)
      .map(([, value, name]) => [name!, Number(value)]),
  );
  const sampler = newSampler();
  const { metrics } = sampler.take();
  sampler.close();
  // vmstat -S k counts in thousands.
  expect(Math.abs(metrics['memory.total']! / 1_000 - figures.get('total memory')!)).toBeLessThanOrEqual(2);
  expect(metrics['swap.total']! / 1_000 - figures.get('total swap')!).toBeCloseTo(0, -1);
  // Other programs come and go between the two readings.
  expect(Math.abs(metrics['memory.used']! / 1_000 - figures.get('used memory')!)).toBeLessThan(500_000);
});

test.skipIf(!has('df'))('file systems agree with df', async () => {
  const df = (): Map<string, number[]> =>
    new Map(
      execFileSync('df', ['-B1', '--output=target,size,used,avail,itotal,iused'], { encoding: 'utf8' })
        .split('\n')
        .slice(1)
        .map(words)
        .map(([target, ...values]) => [target!, values.map(Number)]),
    );
  const before = df();
  const sampler = newSampler();
  const metrics = await until(() => {
    const taken = sampler.take().metrics;
    return 'fs./.total' in taken && taken;
  });
  sampler.close();
  const after = df();
  const mounts = Object.keys(metrics).filter((name) => /^fs\..*\.total$/.test(name));
  for (const name of mounts) {
    const mount = lookUp(name)!.device!;
    const [size, used, available, inodes, inodesUsed] = before.get(mount)!;
    const usedAfter = after.get(mount)![1]!;
    const slack = 256 * 1024 * 1024;
    expect(metrics[name]).toBe(size);
    expect(metrics[name.replace('total', 'used')]).toBeGreaterThanOrEqual(Math.min(used!, usedAfter) - slack);
    expect(metrics[name.replace('total', 'used')]).toBeLessThanOrEqual(Math.max(used!, usedAfter) + slack);
    expect(Math.abs(metrics[name.replace('total', 'available')]! - available!)).toBeLessThan(slack);
    expect(metrics[name.replace('total', 'inodes_used')]).toBeCloseTo(inodesUsed! / inodes!, 1);
  }
});

test.skipIf(!has('ip'))('traffic agrees with ip -s link', async () => {
  interface Link {
    ifname: string;
    stats64: { rx: { bytes: number }; tx: { bytes: number } };
  }
  const counters = (): Map<string, number> => {
    const found = new Map<string, number>();
    for (const { ifname, stats64 } of JSON.parse(execFileSync('ip', ['-s', '-j', 'link'], { encoding: 'utf8' })) as Link[]) {
      found.set(`${ifname} receive`, stats64.rx.bytes).set(`${ifname} transmit`, stats64.tx.bytes);
    }
    return found;
  };
  const result = await bracket(counters, async () => {});
  const names = Object.keys(result.metrics).filter((name) => /^net\..*\.(receive|transmit)$/.test(name));
  for (const name of names) expectWithin(result, name, `${lookUp(name)!.device} ${name.split('.')[2]}`);
});

test.skipIf(!isLinux)('a busy process is among the top ones with its name and user', async () => {
  const { scanProcesses, collectors } = linuxCollectors();
  scanProcesses!(performance.now());
  const beganMs = performance.now();
  while (performance.now() - beganMs < 500) Math.sqrt(beganMs);
  const top = scanProcesses!(performance.now());
  for (const collector of collectors) collector.close();
  const own = top.find((one) => one.pid === process.pid);
  expect(own).toBeDefined();
  expect(own!.cpu).toBeGreaterThan(0.1);
  expect(own!.cpu).toBeLessThan(16);
  expect(own!.user).toBe(execFileSync('id', ['-un'], { encoding: 'utf8' }).trim());
  expect(Math.abs(own!.memory - process.memoryUsage.rss())).toBeLessThan(64 * 1024 * 1024);
});

needs('mount').test('below a mounted root an agent sees the same machine', async () => {
  const root = mkdtempSync(join(tmpdir(), 'hostroom-root-'));
  execFileSync('mount', ['--rbind', '/', root]);
  onTestFinished(() => {
    execFileSync('umount', ['-l', root]);
    rmdirSync(root);
  });
  const namesBelow = async (hostRoot: string): Promise<string[]> => {
    const sampler = newSampler(hostRoot);
    const found = new Set<string>();
    // Rates need two readings; file systems and sensors are read beside the tick.
    await until(() => {
      for (const name of Object.keys(sampler.take().metrics)) found.add(name);
      return found.has('fs./.total') && found.has('cpu.busy') && found.has('pressure.cpu.some');
    });
    sampler.close();
    return [...found].filter((name) => !/^(fs|disk|temperature|fan)\./.test(name)).toSorted();
  };
  expect(await namesBelow(root)).toEqual(await namesBelow(''));
});
