/** Reads the kernel's protocol counters: TCP connections, retransmissions, sockets. */

import type { Collector, Readings } from '../../readings.ts';
import { lineAfter, ProcFile } from './procFile.ts';

/** The value under a heading in files that have a line of headings above each line of values. */
function underHeading(text: string, protocol: string, heading: string): number {
  const label = `${protocol}: `;
  const headings = lineAfter(text, label);
  if (headings === undefined) return Number.NaN;
  const column = headings.split(' ').indexOf(heading);
  const values = lineAfter(text.slice(text.indexOf(label) + label.length), label);
  return column < 0 ? Number.NaN : Number(values?.split(' ')[column]);
}

export class TcpCollector implements Collector {
  readonly name = 'tcp';
  readonly #snmp: ProcFile;
  readonly #netstat: ProcFile;

  constructor(root = '/proc') {
    this.#snmp = new ProcFile(`${root}/net/snmp`);
    this.#netstat = new ProcFile(`${root}/net/netstat`);
  }

  read(readings: Readings): void {
    const snmp = this.#snmp.read();
    readings.put('tcp.established', underHeading(snmp, 'Tcp', 'CurrEstab'));
    readings.putRate('tcp.retransmitted', underHeading(snmp, 'Tcp', 'RetransSegs'));
    readings.putRate('tcp.listen_drops', underHeading(this.#netstat.read(), 'TcpExt', 'ListenDrops'));
  }

  close(): void {
    this.#snmp.close();
    this.#netstat.close();
  }
}

export class SocketsCollector implements Collector {
  readonly name = 'sockets';
  readonly #four: ProcFile;
  readonly #six: ProcFile;
  /** Where IPv6 is off the second file is missing; that is decided at the first reading. */
  #hasSix = true;

  constructor(root = '/proc') {
    this.#four = new ProcFile(`${root}/net/sockstat`);
    this.#six = new ProcFile(`${root}/net/sockstat6`);
  }

  read(readings: Readings): void {
    const four = this.#four.read();
    const six = this.#readSix();
    const pick = (text: string, protocol: string, what: string): number =>
      Number(new RegExp(`(?:^| )${what} (\\d+)`).exec(lineAfter(text, `${protocol}: `) ?? '')?.[1] ?? 0);
    readings.put('sockets.used', pick(four, 'sockets', 'used'));
    readings.put('sockets.tcp', pick(four, 'TCP', 'inuse') + pick(six, 'TCP6', 'inuse'));
    readings.put('sockets.udp', pick(four, 'UDP', 'inuse') + pick(six, 'UDP6', 'inuse'));
    readings.put('sockets.time_wait', pick(four, 'TCP', 'tw'));
  }

  #readSix(): string {
    if (!this.#hasSix) return '';
    try {
      return this.#six.read();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      this.#hasSix = false;
      return '';
    }
  }

  close(): void {
    this.#four.close();
    this.#six.close();
  }
}
