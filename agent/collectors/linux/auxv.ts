/** Reads the machine's constants from the vector that the kernel gives every process. */

import { readFileSync } from 'node:fs';

const [pageSize, clockTicks] = [6n, 17n];

export interface MachineConstants {
  pageBytes: number;
  /** Ticks per second of the times in /proc/<pid>/stat. */
  ticksPerSecond: number;
}

/** Falls back to the usual values where the vector cannot be read or is that of a 32-bit process. */
export function machineConstants(path = '/proc/self/auxv'): MachineConstants {
  const found = new Map<bigint, bigint>();
  try {
    const vector = readFileSync(path);
    const words = new BigUint64Array(vector.buffer.slice(vector.byteOffset, vector.byteOffset + (vector.length & ~15)));
    for (let index = 0; index + 1 < words.length; index += 2) found.set(words[index]!, words[index + 1]!);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
  }
  return { pageBytes: Number(found.get(pageSize) ?? 4096n), ticksPerSecond: Number(found.get(clockTicks) ?? 100n) };
}
