/** Compiles the benchmarks' C programs when they are asked for, into the cache folder. */

import { spawnSync } from 'node:child_process';
import { mkdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';

const folder = resolve(import.meta.dirname, '..', 'native');
const cache = resolve(import.meta.dirname, '..', '..', '.cache', 'bench');

/** Path of the compiled `bench/native/<name>.c`; throws with the way to get a compiler where there is none. */
export function compileNative(name: 'load' | 'floor'): string {
  const source = join(folder, `${name}.c`);
  const program = join(cache, name);
  const sources = [source, ...['load.h', 'measure.h', 'messages.h'].map((header) => join(folder, header))];
  if (changedMs(program) > Math.max(...sources.map(changedMs))) return program;
  mkdirSync(cache, { recursive: true });
  const done = spawnSync('cc', ['-O2', '-Wall', '-Wextra', '-o', program, source], { encoding: 'utf8' });
  if (done.error !== undefined) throw new Error('The load generator needs a C compiler: apt-get install build-essential');
  if (done.status !== 0) throw new Error(`cc ${name}.c: ${done.stderr}`);
  return program;
}

function changedMs(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
