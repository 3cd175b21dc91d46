/** Decides as which user the embedded PostgreSQL runs, in which folder. */

import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, realpathSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseFault } from './fault.ts';

/** The user that PostgreSQL runs as; without ids: the user of this process. */
export interface Account {
  name: string;
  uid?: number;
  gid?: number;
}

export interface Place {
  account: Account;
  /** Holds cluster/ and what belongs to it. */
  home: string;
  cluster: string;
  /** Where `home` must be remembered once the cluster stands; undefined where it is under the data folder. */
  record: string | undefined;
  /** Whether `home` is outside the data folder. */
  apart: boolean;
}

const passwdFile = '/etc/passwd';
/** For root, where PostgreSQL's user cannot reach the data folder. */
export const outsideHomes = '/var/lib/hostroom';

/** Makes the data folder if it is missing; returns its path without links. Throws DatabaseFault. */
export function makeDataFolder(dataDir: string): string {
  // Root's is entered by PostgreSQL's user on the way to its own folder.
  makeFolder(dataDir, process.getuid?.() === 0 ? 0o711 : 0o700);
  return realpathSync(dataDir);
}

/** Chooses the place in the data folder or, for root where that cannot be, below /var/lib/hostroom. Throws DatabaseFault. */
export function choosePlace(folder: string, outside = outsideHomes): Place {
  const isRoot = process.getuid?.() === 0;
  const recordFile = join(folder, 'postgres.json');
  const recorded = readRecord(recordFile);
  const home = recorded ?? join(folder, 'postgres');
  const cluster = join(home, 'cluster');
  const owner = ownerOf(cluster);
  if (recorded && owner === undefined) {
    throw new DatabaseFault(
      `${recordFile} says that the database is in ${recorded}, but it is not there. Bring it back from a backup, or delete ${recordFile} to begin with an empty database.`,
    );
  }
  if (!isRoot) {
    if (owner !== undefined && owner.uid !== process.getuid?.()) {
      throw new DatabaseFault(
        `The database in ${cluster} belongs to the user ${nameOf(owner.uid)}. Start hostroom as that user or as root, or set DATA_DIR to another folder.`,
      );
    }
    makeFolder(home, 0o700);
    return { account: { name: nameOf(process.getuid?.() ?? 0) }, home, cluster, record: undefined, apart: recorded !== undefined };
  }
  const account = owner && owner.uid !== 0 ? { name: nameOf(owner.uid), ...owner } : findAccount();
  if (canReach(home, account)) {
    makeFolder(home, 0o711);
    return { account, home, cluster, record: undefined, apart: recorded !== undefined };
  }
  if (owner !== undefined) {
    throw new DatabaseFault(
      `The user ${account.name}, whom the database in ${cluster} belongs to, cannot reach it: a folder above lacks the right to enter (chmod o+x).`,
    );
  }
  // PostgreSQL refuses to run as root, and its user cannot enter, say, /root.
  const away = join(outside, randomBytes(6).toString('hex'));
  makeFolder(outside, 0o755);
  makeFolder(away, 0o711);
  return { account, home: away, cluster: join(away, 'cluster'), record: recordFile, apart: true };
}

/** Makes a folder for the account alone, or leaves the one that is there. */
export function makeAccountFolder(path: string, account: Account): void {
  makeFolder(path, 0o700);
  giveTo(path, account);
}

export function giveTo(path: string, account: Account): void {
  if (account.uid !== undefined && account.gid !== undefined) chownSync(path, account.uid, account.gid);
}

export function writeRecord(place: Place): void {
  if (place.record) writeFileSync(place.record, `${JSON.stringify({ home: place.home })}\n`, { mode: 0o600 });
}

/** Whether the account may enter every folder above `path` (and `path` itself, where it exists already). */
export function canReach(path: string, account: Account): boolean {
  for (let folder = path; ; folder = dirname(folder)) {
    if (existsSync(folder)) {
      const { uid, gid, mode } = statSync(folder);
      const right = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001;
      if ((mode & right) === 0) return false;
    }
    if (folder === dirname(folder)) return true;
  }
}

function makeFolder(path: string, mode: number): void {
  if (existsSync(path)) return;
  try {
    makeParents(path);
    mkdirSync(path);
    // Whatever the umask is.
    chmodSync(path, mode);
  } catch (error) {
    // Another start made it in this moment.
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return;
    throw new DatabaseFault(
      `The folder ${path} cannot be made: ${(error as Error).message}. Set DATA_DIR to a folder that you may write to.`,
      { cause: error },
    );
  }
}

/** Not by `recursive`: Node then never returns where the system answers ENOENT for a new folder, as below /proc. */
function makeParents(path: string): void {
  const parent = dirname(path);
  if (existsSync(parent)) return;
  makeParents(parent);
  try {
    mkdirSync(parent);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

function readRecord(file: string): string | undefined {
  if (!existsSync(file)) return undefined;
  try {
    const record: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (record && typeof record === 'object' && 'home' in record && typeof record.home === 'string') return record.home;
    throw new Error('it has no "home"');
  } catch (error) {
    throw new DatabaseFault(
      `${file} cannot be used: ${(error as Error).message}. Start as the user that started hostroom here before, or restore the file.`,
      { cause: error },
    );
  }
}

function ownerOf(cluster: string): { uid: number; gid: number } | undefined {
  try {
    const { uid, gid } = statSync(cluster);
    return { uid, gid };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw new DatabaseFault(
      `The database in ${cluster} cannot be reached: ${(error as Error).message}. Start hostroom as the user that started it here before.`,
      { cause: error },
    );
  }
}

function readPasswd(): { name: string; uid: number; gid: number }[] {
  if (!existsSync(passwdFile)) return [];
  return readFileSync(passwdFile, 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .map(([name = '', , uid, gid]) => ({ name, uid: Number(uid), gid: Number(gid) }))
    .filter(({ name, uid }) => name !== '' && uid > 0);
}

function findAccount(): Account {
  const users = readPasswd();
  const found = users.find((user) => user.name === 'postgres') ?? users.find((user) => user.name === 'nobody');
  if (!found) {
    throw new DatabaseFault(
      'PostgreSQL refuses to run as root, and this machine has neither a user "postgres" nor "nobody". Make one (useradd --system postgres), start hostroom as an ordinary user, or set DATABASE_URL.',
    );
  }
  return found;
}

function nameOf(uid: number): string {
  return readPasswd().find((user) => user.uid === uid)?.name ?? `uid ${uid}`;
}
