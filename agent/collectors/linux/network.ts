/** Reads /proc/net/dev: traffic, errors, drops per network interface. */

import type { Collector, Readings } from '../../readings.ts';
import { ProcFile, readOnce } from './procFile.ts';

const maxInterfaces = 32;
/** Loopback, ends of containers and virtual machines, bridges (their members are counted), placeholders of the kernel. */
const leftOut =
  /^(lo$|veth|cali|lxc|vnet|tap|fwbr|fwpr|fwln|docker\d|br-|virbr|cni|flannel|ifb|dummy|sit\d|tunl|gre|gretap|erspan|ip_vti|ip6_vti|ip6tnl|ip6gre|nlmon|teql)/;

export class NetworkCollector implements Collector {
  readonly name = 'network';
  readonly #dev: ProcFile;
  readonly #classes: string;
  /** Interface → its number in the kernel; another number under the same name is another device with other counters. */
  #indexes = new Map<string, string>();

  constructor(root = '/proc', classes = '/sys/class/net') {
    // Of this process' own network namespace.
    this.#dev = new ProcFile(`${root}/net/dev`);
    this.#classes = classes;
  }

  read(readings: Readings): void {
    const indexes = new Map<string, string>();
    for (const line of this.#dev.read().split('\n').slice(2)) {
      const colon = line.lastIndexOf(':');
      const name = line.slice(0, colon).trim();
      if (colon < 0 || leftOut.test(name) || indexes.size >= maxInterfaces) continue;
      const fields = line
        .slice(colon + 1)
        .trim()
        .split(/ +/)
        .map(Number);
      // Never used since the machine started: nothing to see.
      if (!fields[0] && !fields[8]) continue;
      const index = this.#index(name);
      if (this.#indexes.has(name) && this.#indexes.get(name) !== index) readings.rates.forget(`net ${name} `);
      indexes.set(name, index);
      this.#interface(readings, name, fields);
    }
    this.#indexes = indexes;
  }

  #index(name: string): string {
    try {
      return readOnce(`${this.#classes}/${name}/ifindex`);
    } catch {
      // Gone between the two readings, or no /sys: the next reading shows which.
      return '';
    }
  }

  #interface(readings: Readings, name: string, fields: number[]): void {
    const [bytesIn, packetsIn, errorsIn, dropsIn, , , , , bytesOut, packetsOut, errorsOut, dropsOut] = fields;
    if (dropsOut === undefined) return;
    const put = (metric: string, counter: number): void =>
      readings.putFor(`net.*.${metric}`, name, readings.rates.perSecond(`net ${name} ${metric}`, counter));
    put('receive', bytesIn!);
    put('transmit', bytesOut!);
    put('receive_packets', packetsIn!);
    put('transmit_packets', packetsOut!);
    put('receive_errors', errorsIn!);
    put('transmit_errors', errorsOut!);
    put('drops', dropsIn! + dropsOut);
  }

  close(): void {
    this.#dev.close();
  }
}
