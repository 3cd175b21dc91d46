/** Reads /proc/diskstats: traffic, operations, utilisation per whole disk. */

import { existsSync } from 'node:fs';
import type { Collector, Readings } from '../../readings.ts';
import { ProcFile } from './procFile.ts';

/** The kernel counts in units of 512 bytes, whatever the disk's own sectors. */
const sectorBytes = 512;
const maxDisks = 64;
/** Not disks of their own: memory, files, removable readers, paths of a multipath disk, layers above disks that are counted already. */
const notDisks = /^(loop|ram|zram|sr|fd|dm-|md|nbd|nvme\d+c\d+n)/;

export class DiskCollector implements Collector {
  readonly name = 'disk';
  readonly #stats: ProcFile;
  readonly #blocks: string;
  /** Whether a name is a whole disk; looked up once per name, forgotten with the device. */
  #whole = new Map<string, boolean>();

  constructor(root = '/proc', blocks = '/sys/block') {
    this.#stats = new ProcFile(`${root}/diskstats`);
    this.#blocks = blocks;
  }

  read(readings: Readings): void {
    const seen = new Map<string, boolean>();
    let disks = 0;
    for (const line of this.#stats.read().split('\n')) {
      const [, , device, ...fields] = line.trim().split(/ +/);
      if (device === undefined || notDisks.test(device)) continue;
      // Slashes of a device's name are exclamation marks in /sys.
      const whole = this.#whole.get(device) ?? existsSync(`${this.#blocks}/${device.replaceAll('/', '!')}`);
      seen.set(device, whole);
      if (whole && ++disks <= maxDisks) this.#disk(readings, device, fields.map(Number));
    }
    this.#whole = seen;
  }

  #disk(readings: Readings, device: string, fields: number[]): void {
    const [reads, , sectorsRead, readMs, writes, , sectorsWritten, writeMs, , busyMs] = fields;
    if (busyMs === undefined) return;
    const { rates } = readings;
    const key = (what: string): string => `disk ${device} ${what}`;
    readings.putFor('disk.*.read', device, rates.perSecond(key('read'), sectorsRead! * sectorBytes));
    readings.putFor('disk.*.write', device, rates.perSecond(key('write'), sectorsWritten! * sectorBytes));
    readings.putFor('disk.*.reads', device, rates.perSecond(key('reads'), reads!));
    readings.putFor('disk.*.writes', device, rates.perSecond(key('writes'), writes!));
    readings.putFor('disk.*.busy', device, rates.shareOfTime(key('busy'), busyMs));
    readings.putFor('disk.*.await', device, rates.perUnit(key('await'), (readMs! + writeMs!) / 1000, reads! + writes!));
  }

  close(): void {
    this.#stats.close();
  }
}
