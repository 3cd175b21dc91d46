import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { CpuCollector } from '../../../agent/collectors/linux/cpu.ts';
import { DiskCollector } from '../../../agent/collectors/linux/disk.ts';
import { filesystemCollector } from '../../../agent/collectors/linux/filesystem.ts';
import { chooseMounts } from '../../../agent/collectors/linux/mounts.ts';
import { NetworkCollector } from '../../../agent/collectors/linux/network.ts';
import { ProcessesCollector } from '../../../agent/collectors/linux/processes.ts';
import { PressureCollector } from '../../../agent/collectors/linux/pressure.ts';
import { temperatureCollector } from '../../../agent/collectors/linux/temperature.ts';
import { netstatLine, vmStatParser, windowsLine } from '../../../agent/collectors/portable.ts';
import { startFeed } from '../../../agent/collectors/feed.ts';
import { Rates } from '../../../agent/rates.ts';
import { Readings, type Collector } from '../../../agent/readings.ts';
import { createLog } from '../../../agent/log.ts';
import { until } from '../../support/until.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

/** A folder that looks like /proc or /sys. */
function tree(files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), 'agent-'));
  folders.push(root);
  write(root, files);
  return root;
}

function write(root: string, files: Record<string, string>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
}

const newReadings = (): Readings => new Readings(new Rates(5_000));

function read(collector: Collector, readings: Readings, nowMs: number): Record<string, number> {
  readings.begin(nowMs);
  collector.read(readings);
  return { ...readings.metrics };
}

test('processor time divides into shares, old kernels with fewer columns too', () => {
  const root = tree({ stat: 'cpu  100 0 100 800\ncpu0 100 0 100 800\nctxt 10\nprocesses 5\nprocs_running 2\nprocs_blocked 1\n' });
  const collector = new CpuCollector(root);
  const readings = newReadings();
  expect(read(collector, readings, 0)).toEqual({ 'processes.running': 2, 'processes.blocked': 1 });
  write(root, { stat: 'cpu  120 0 110 870\ncpu0 120 0 110 870\nctxt 30\nprocesses 5\nprocs_running 3\nprocs_blocked 0\n' });
  expect(read(collector, readings, 1_000)).toMatchObject({
    'cpu.busy': 0.3,
    'cpu.user': 0.2,
    'cpu.system': 0.1,
    'cpu.steal': 0,
    'cpu.core0.busy': 0.3,
    'kernel.context_switches': 20,
    'kernel.forks': 0,
  });
  collector.close();
});

const netLine = (name: string, received: number): string => `${name}: ${received} 10 0 0 0 0 0 0 500 5 0 0 0 0 0 0\n`;
const netHead = 'Inter-|\n face |\n';

test('an interface that got the name of another gives no spike', () => {
  const root = tree({ 'net/dev': netHead + netLine('eth0', 1_000), 'class/eth0/ifindex': '2\n' });
  const collector = new NetworkCollector(root, join(root, 'class'));
  const readings = newReadings();
  read(collector, readings, 0);
  write(root, { 'net/dev': netHead + netLine('eth0', 1_500) });
  expect(read(collector, readings, 1_000)['net.eth0.receive']).toBe(500);
  write(root, { 'net/dev': netHead + netLine('eth0', 9e12), 'class/eth0/ifindex': '7\n' });
  expect(read(collector, readings, 2_000)['net.eth0.receive']).toBeUndefined();
  write(root, { 'net/dev': netHead + netLine('eth0', 9e12 + 5) });
  expect(read(collector, readings, 3_000)['net.eth0.receive']).toBe(5);
  collector.close();
});

test('loopback, containers and unused interfaces are left out, many are bounded', () => {
  const many = Array.from({ length: 100 }, (_, index) => netLine(`vlan${index}.7`, 5)).join('');
  const unused = 'ens9: 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n';
  const root = tree({ 'net/dev': netHead + netLine('lo', 5) + netLine('veth1', 5) + unused + many });
  const collector = new NetworkCollector(root, root);
  const readings = newReadings();
  read(collector, readings, 0);
  const names = Object.keys(read(collector, readings, 1_000)).filter((name) => name.endsWith('.receive'));
  expect(names).toHaveLength(32);
  expect(names).toContain('net.vlan0%2E7.receive');
  collector.close();
});

test('only whole disks count, and their waiting time is per operation', () => {
  const stats = (reads: number, ms: number): string =>
    `7 0 loop0 1 0 1 1 0 0 0 0 0 1 1\n8 0 sda ${reads} 0 ${reads * 8} ${ms} 0 0 0 0 0 ${ms} ${ms}\n8 1 sda1 1 0 1 1 0 0 0 0 0 1 1\n253 0 dm-0 1 0 1 1 0 0 0 0 0 1 1\n`;
  const root = tree({ diskstats: stats(0, 0), 'block/sda/size': '', 'block/dm-0/size': '' });
  const collector = new DiskCollector(root, join(root, 'block'));
  const readings = newReadings();
  read(collector, readings, 0);
  write(root, { diskstats: stats(100, 500) });
  expect(read(collector, readings, 1_000)).toEqual({
    'disk.sda.read': 100 * 8 * 512,
    'disk.sda.write': 0,
    'disk.sda.reads': 100,
    'disk.sda.writes': 0,
    'disk.sda.busy': 0.5,
    'disk.sda.await': 0.005,
  });
  collector.close();
});

test('a kernel without pressure figures says so by throwing', () => {
  const collector = new PressureCollector('cpu', tree({}));
  expect(() => read(collector, newReadings(), 0)).toThrow('ENOENT');
});

test('mounts are chosen as df chooses them', () => {
  const mounts = chooseMounts(
    [
      'proc /proc proc rw 0 0',
      '/dev/sda1 / ext4 rw 0 0',
      '/dev/sda1 /var/lib/docker ext4 rw 0 0',
      'overlay /var/lib/docker/overlay2/x/merged overlay rw 0 0',
      'tmpfs /run tmpfs rw 0 0',
      '/dev/loop3 /snap/core/1 squashfs ro 0 0',
      '/dev/sdb1 /mnt/my\\040disk xfs rw 0 0',
      'server:/export /mnt/far nfs4 rw 0 0',
      'pool/data /data zfs rw 0 0',
      '/dev/sdc1 /hidden ext4 rw 0 0',
      '/dev/sdd1 /hidden ext4 rw 0 0',
      '',
    ].join('\n'),
  );
  expect(mounts.map(({ path, mayHang }) => [path, mayHang])).toEqual([
    ['/', false],
    ['/mnt/my disk', false],
    ['/mnt/far', true],
    ['/data', false],
    ['/hidden', false],
  ]);
  expect(chooseMounts('overlay / overlay rw 0 0\n/dev/vda1 /etc/hosts ext4 rw 0 0\n').map((mount) => mount.path)).toEqual(['/']);
});

test('a hung file system delays neither the tick nor the others, and is not asked twice', async () => {
  const asked: string[] = [];
  const collector = filesystemCollector({
    question: async (path) => {
      asked.push(path);
      if (path === '/far') await new Promise(() => {});
      return { bsize: 4096, blocks: 100, bfree: 60, bavail: 50, files: 10, ffree: 5 };
    },
    mounts: async () => '/dev/a / ext4 rw 0 0\nfar:/x /far nfs rw 0 0\nfar:/y /farther nfs rw 0 0\n/dev/b /b ext4 rw 0 0\n',
  });
  const readings = newReadings();
  let nowMs = 0;
  const look = async (): Promise<Record<string, number>> =>
    until(() => {
      const metrics = read(collector, readings, nowMs);
      return Object.keys(metrics).length > 0 && metrics;
    });
  expect(await look()).toEqual({
    'fs./.total': 409_600,
    'fs./.used': 163_840,
    'fs./.available': 204_800,
    'fs./.inodes_used': 0.5,
    'fs./b.total': 409_600,
    'fs./b.used': 163_840,
    'fs./b.available': 204_800,
    'fs./b.inodes_used': 0.5,
  });
  nowMs = 10_000;
  await look();
  expect(asked).toEqual(['/', '/far', '/b', '/', '/b']);
  collector.close();
});

test('below another root only what is mounted there is told, by the paths of that machine', async () => {
  const text = 'overlay / overlay rw 0 0\n/dev/a /host ext4 ro 0 0\n/dev/b /host/var/lib xfs ro 0 0\n/dev/c /hostage ext4 rw 0 0\n';
  expect(chooseMounts(text, '/host').map(({ path }) => path)).toEqual(['/', '/var/lib']);
  const asked: string[] = [];
  const collector = filesystemCollector({
    root: '/host',
    question: async (path) => {
      asked.push(path);
      return { bsize: 1, blocks: 10, bfree: 5, bavail: 5, files: 0, ffree: 0 };
    },
    mounts: async () => text,
  });
  const readings = newReadings();
  const metrics = await until(() => {
    const found = read(collector, readings, 0);
    return Object.keys(found).length > 0 && found;
  });
  expect(asked).toEqual(['/host/', '/host/var/lib']);
  expect(Object.keys(metrics)).toContain('fs./var/lib.total');
  collector.close();
});

test('sensors are named by chip and label, doubles numbered, nonsense left out', async () => {
  const sys = tree({
    'class/hwmon/hwmon0/name': 'coretemp\n',
    'class/hwmon/hwmon0/temp1_input': '45500\n',
    'class/hwmon/hwmon0/temp1_label': 'Package id 0\n',
    'class/hwmon/hwmon0/temp2_input': '-273000\n',
    'class/hwmon/hwmon0/fan1_input': '1200\n',
    'class/hwmon/hwmon1/name': 'nvme\n',
    'class/hwmon/hwmon1/temp1_input': '30000\n',
    'class/hwmon/hwmon2/name': 'nvme\n',
    'class/hwmon/hwmon2/temp1_input': '31000\n',
    'class/thermal/thermal_zone0/temp': '99000\n',
    'class/thermal/thermal_zone0/type': 'acpitz\n',
  });
  const collector = temperatureCollector(sys);
  const readings = newReadings();
  const metrics = await until(() => {
    const found = read(collector, readings, 0);
    return Object.keys(found).length > 0 && found;
  });
  expect(metrics).toEqual({
    'temperature.coretemp%20Package%20id%200': 45.5,
    'temperature.nvme%201': 30,
    'temperature.nvme%201%20#2': 31,
    'fan.coretemp%201': 1200,
  });
  collector.close();
});

const stat = (name: string, ticks: number, started: number, pages = 10): string =>
  `1 (${name}) S 1 1 1 0 -1 0 0 0 0 0 ${ticks} 0 0 0 20 0 1 0 ${started} 0 ${pages} 0 0\n`;

test('processes are compared with their own past only', () => {
  const root = tree({ '10/stat': stat('a (b) c', 1_000, 50), '20/stat': stat('old', 5_000, 60), '30/stat': stat('kthread', 0, 1, 0) });
  const collector = new ProcessesCollector({ pageBytes: 4096, ticksPerSecond: 100 }, root);
  expect(collector.scan(0)).toEqual([]);
  // One goes on, one is replaced under the same number, one is new, one is old but was not seen before.
  write(root, {
    '10/stat': stat('a (b) c', 1_500, 50),
    '20/stat': stat('new', 200, 900),
    '40/stat': stat('hidden', 1e9, 55),
    '40/io': 'x\n',
  });
  const top = collector.scan(10_000);
  expect(top.map(({ pid, name, cpu, memory }) => [pid, name, cpu, memory])).toEqual([
    [10, 'a (b) c', 0.5, 40_960],
    [20, 'new', 0.2, 40_960],
    [40, 'hidden', 0, 40_960],
  ]);
  expect(read(collector, newReadings(), 0)).toEqual({ 'processes.total': 4 });
});

test('the lines of the helper programs of other platforms are understood', () => {
  const vmStat = vmStatParser();
  expect(vmStat('Mach Virtual Memory Statistics: (page size of 16384 bytes)')).toBeUndefined();
  expect(vmStat('    free   active   specul inactive throttle    wired')).toBeUndefined();
  expect(vmStat('   10000   500000     1000   20000        0   100000')?.['memory.available']).toBe(31_000 * 16_384);
  expect(netstatLine('    packets  errs idrops      bytes    packets  errs      bytes colls')).toBeUndefined();
  expect(netstatLine('  12 0 3456 7 1 890 0')).toMatchObject({
    'net.all.receive': 3456,
    'net.all.transmit': 890,
    'net.all.transmit_errors': 1,
  });
  expect(windowsLine('1 2 3 4 5 6')).toMatchObject({ 'net.all.receive': 1, 'disk.all.writes': 6 });
  expect(windowsLine('Fehler')).toBeUndefined();
});

test('a helper program that ends is started again', async () => {
  const lines: string[] = [];
  const logged: string[] = [];
  const log = createLog('info', (line) => logged.push(line));
  const feed = startFeed(process.execPath, ['-e', 'console.log("one line"); process.stdout.write("half")'], log, (line) =>
    lines.push(line),
  );
  await until(() => lines.length >= 2);
  feed.close();
  expect(lines.every((line) => line === 'one line')).toBe(true);
  expect(logged).toHaveLength(1);
});
