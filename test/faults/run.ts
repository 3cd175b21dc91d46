/** `npm run faults`: the fault tests in full length, one after the other, with their figures. */

import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { buildStaleWeb } from '../../src/local/webBuild.ts';
import { installTools } from '../support/install.ts';
import { tools } from '../support/tools.ts';

const root = resolve(import.meta.dirname, '../..');
for (const name of installTools(['ip', 'nft', 'faketime', 'redis', 'nginx', 'kubectl'])) {
  process.stderr.write(`Missing: ${name}. Its tests are skipped; to get it: apt-get install ${tools[name].package}\n`);
}
await buildStaleWeb(root);
const filters = process.argv.slice(2);
const args = [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--no-file-parallelism', '--reporter=verbose'];
const chosen = filters.length > 0 ? filters : ['test/faults'];
const child = spawn(process.execPath, [...args, ...chosen], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, FAULTS: 'full', HOSTROOM_FAULT_SEEDS: '1000' },
});
child.once('exit', (code, signal) => {
  if (signal) process.stderr.write(`ended by ${signal}\n`);
  process.exitCode = code ?? 1;
});
for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => child.kill(name));
