/** `npm run bench [-- name …options]`: runs one benchmark, or all of them one after the other, each in a process of its own. */

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const entry = (name: string): string => join(import.meta.dirname, name, 'run.ts');
const all = readdirSync(import.meta.dirname).filter((name) => existsSync(entry(name)));

const [name, ...options] = process.argv.slice(2);
if (name !== undefined && !all.includes(name)) {
  console.error(`There is no benchmark ${name}. There are: ${all.join(', ')}`);
  process.exit(2);
}
for (const each of name === undefined ? all : [name]) {
  console.log(`\n── ${each} ──`);
  const done = spawnSync(process.execPath, [entry(each), ...options], { stdio: 'inherit' });
  if (done.status !== 0) process.exitCode = 1;
}
