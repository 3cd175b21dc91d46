/** Makes the embedded database's files at the first start. */

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, renameSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Binaries, environment, program } from './embeddedBinaries.ts';
import { type Place, giveTo, makeAccountFolder } from './embeddedPlace.ts';
import { DatabaseFault } from './fault.ts';

/** Name of the role and of the database. */
export const databaseName = 'hostroom';
const leastFreeBytes = 150 * 1024 * 1024;

/** Makes the cluster unless it is there; returns the role's password. Throws DatabaseFault on a cluster of another major version. */
export async function prepareCluster(binaries: Binaries, place: Place): Promise<string> {
  const passwordFile = join(place.home, 'password');
  if (!existsSync(place.cluster)) {
    // New with each cluster: one that is left of a broken first start opens nothing.
    const password = randomBytes(24).toString('base64url');
    rmSync(passwordFile, { force: true });
    writeFileSync(passwordFile, password, { mode: 0o600 });
    await createCluster(binaries, place, password);
    return password;
  }
  checkVersion(binaries, place);
  return readPassword(place.home);
}

/** Throws DatabaseFault where it is missing. */
export function readPassword(home: string): string {
  const passwordFile = join(home, 'password');
  if (existsSync(passwordFile)) return readFileSync(passwordFile, 'utf8').trim();
  throw new DatabaseFault(
    `${passwordFile} is missing, without which the database beside it cannot be opened. Restore it from a backup of the data folder.`,
  );
}

/** Built under another name and renamed when whole: a kill in between leaves nothing that looks like a database. */
async function createCluster(binaries: Binaries, place: Place, password: string): Promise<void> {
  const { account, home } = place;
  const { bavail, bsize } = statfsSync(home);
  if (bavail * bsize < leastFreeBytes) throw diskFull(home, bavail * bsize);
  const unfinished = join(home, 'cluster.new');
  const passwordFile = join(home, 'password.new');
  rmSync(unfinished, { recursive: true, force: true });
  rmSync(passwordFile, { force: true });
  makeAccountFolder(unfinished, account);
  // A copy that initdb's user can read, for that moment: an argument would show in the process list.
  writeFileSync(passwordFile, password, { mode: 0o600 });
  giveTo(passwordFile, account);
  // Unicode rules that no upgrade of the operating system changes; older versions have only the system's.
  const locale = binaries.major >= 17 ? ['--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C'] : ['--locale=C'];
  try {
    const args = [
      '-D',
      unfinished,
      '-U',
      databaseName,
      '-E',
      'UTF8',
      ...locale,
      '-A',
      'scram-sha-256',
      `--pwfile=${passwordFile}`,
      '--data-checksums',
    ];
    const { uid, gid } = account;
    // `-E` etc. are harmless to see; the password is not among them.
    const child = spawn(program(binaries, 'initdb'), args, {
      uid,
      gid,
      cwd: home,
      env: environment(binaries.folder),
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let told = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (told = (told + text).slice(-4_000)));
    const code = await new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve));
    if (code !== 0) {
      if (/No space left on device|Disk quota exceeded/.test(told)) throw diskFull(home, bavail * bsize);
      throw new DatabaseFault(`The database could not be made in ${home}: ${told.trim() || `initdb ended with ${code}`}`);
    }
    renameSync(unfinished, place.cluster);
  } finally {
    rmSync(passwordFile, { force: true });
    rmSync(unfinished, { recursive: true, force: true });
  }
}

function diskFull(home: string, freeBytes: number): DatabaseFault {
  return new DatabaseFault(
    `The disk of ${home} is full (${Math.floor(freeBytes / 1024 / 1024)} MiB free; a new database needs ${leastFreeBytes / 1024 / 1024} MiB). Free some space, or set DATA_DIR to a folder on another disk.`,
  );
}

function checkVersion(binaries: Binaries, place: Place): void {
  const file = join(place.cluster, 'PG_VERSION');
  if (!existsSync(file)) {
    throw new DatabaseFault(
      `${place.cluster} is not a whole PostgreSQL database (it has ${readdirSync(place.cluster).length} entries, and no PG_VERSION). Restore it from a backup, or remove it to begin with an empty one.`,
    );
  }
  const major = Number(readFileSync(file, 'utf8'));
  if (major === binaries.major) return;
  if (major > binaries.major) {
    throw new DatabaseFault(
      `The database in ${place.cluster} was made by PostgreSQL ${major}, this hostroom brings PostgreSQL ${binaries.major}. Start the newer hostroom that made it, or set DATA_DIR to another folder.`,
    );
  }
  throw new DatabaseFault(
    `The database in ${place.cluster} was made by PostgreSQL ${major}, this hostroom brings PostgreSQL ${binaries.major}. To move it: start the older hostroom, write a dump with "pg_dump -Fc" of version ${major} or newer, stop it, move ${place.home} aside, start this version once, restore the dump with "pg_restore --clean --if-exists", and run "npm run migrate -- --new-epoch". docs/operations.md shows each command.`,
  );
}
