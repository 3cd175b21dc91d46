/** The sources of earlier versions, which run beside the present one: those of the last release, and the newest with an older schema. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, symlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';

export type PreviousName = 'release' | 'schema';

export interface Previous {
  /** Where hub and agent of that version can be started from, with the packages of this checkout. */
  root: string;
  /** What it was packed from. */
  commit: string;
}

const checkout = resolve(import.meta.dirname, '../..');

/** Unpacks a version into a folder, under its name. */
export function unpackPrevious(folder: string, name: PreviousName): Previous {
  const archive = join(checkout, 'test/previous', `${name}.tgz`);
  const root = join(folder, name);
  mkdirSync(root, { recursive: true });
  execFileSync('tar', ['-xzf', archive, '-C', root]);
  symlinkSync(join(checkout, 'node_modules'), join(root, 'node_modules'));
  return { root, commit: commitOf(archive) };
}

/** The names of a checkout's migrations, in order. */
export const migrationsOf = (root: string): string[] =>
  readdirSync(join(root, 'migrations'))
    .filter((name) => name.endsWith('.sql'))
    .sort();

/** As `git archive` left it in the archive's head. */
function commitOf(archive: string): string {
  const head = gunzipSync(readFileSync(archive)).subarray(0, 1024).toString('latin1');
  const commit = /comment=([0-9a-f]{40})\n/.exec(head)?.[1];
  if (!commit) throw new Error(`${archive} does not say what it was packed from`);
  return commit;
}
