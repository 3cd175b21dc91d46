/** Prints what seldom changes on this host as JSON: a program of its own, so that its memory is gone when it ends. Argument: HOST_ROOT. */

import { readFileSync } from 'node:fs';
import { arch, cpus, hostname, release, totalmem } from 'node:os';
import type { Inventory } from '../src/protocol/kinds.ts';

type Facts = Omit<Inventory, 'agentVersion' | 'bootedAt'>;

const basic: Facts = {
  os: process.platform,
  kernel: release(),
  arch: arch(),
  hostname: hostname(),
  cpuModel: cpus()[0]?.model.trim() ?? '',
  cores: cpus().length,
  memory: totalmem(),
  disks: [],
};

/** Left out of the packed agent on request; the basic facts are enough to work. */
async function detailed(): Promise<Partial<Facts>> {
  const { default: information } = await import('systeminformation');
  const [os, cpu, system, disks] = await Promise.all([
    information.osInfo(),
    information.cpu(),
    information.system(),
    information.diskLayout(),
  ]);
  return {
    os: `${os.distro} ${os.release}`.trim() || basic.os,
    cpuModel: `${cpu.manufacturer} ${cpu.brand}`.trim() || basic.cpuModel,
    ...(system.virtual && { virtual: system.virtualHost || 'virtual machine' }),
    disks: disks.slice(0, 64).map(({ device, name, size }) => ({ device, model: name, size })),
  };
}

/** In a container the system's name is that of the image; the machine's stands below its root. */
function nameBelow(root: string | undefined): Partial<Facts> {
  if (!root) return {};
  try {
    const name = /^PRETTY_NAME="?([^"\n]+)/m.exec(readFileSync(`${root}/etc/os-release`, 'utf8'))?.[1];
    return name === undefined ? {} : { os: name };
  } catch (error) {
    process.stderr.write(`${String(error)}\n`);
    return {};
  }
}

const more = await detailed().catch((error: unknown) => {
  process.stderr.write(`${String(error)}\n`);
  return {};
});
process.stdout.write(JSON.stringify({ ...basic, ...more, ...nameBelow(process.argv[2]) }));
