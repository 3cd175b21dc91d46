/** Makes sure that one hub at a time uses a data folder. */

import { closeSync, existsSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { DatabaseFault } from './fault.ts';

export interface FolderLock {
  release(): void;
}

const busy = 5;

/**
 * Takes the folder's lock, which the operating system gives back when the process dies, however it dies: it is SQLite's lock on an
 * empty file, the only one that Node offers on every platform. Throws DatabaseFault that names the holder's pid.
 */
export function lockFolder(folder: string): FolderLock {
  const lockFile = join(folder, 'hub.lock');
  const file = new DatabaseSync(lockFile, { open: false });
  const pidFile = join(folder, 'hub.pid');
  try {
    makePrivate(lockFile);
    file.open();
    file.exec('pragma busy_timeout = 0');
    file.exec('begin exclusive');
  } catch (error) {
    if (file.isOpen) file.close();
    if ((error as { errcode?: number }).errcode !== busy) {
      throw new DatabaseFault(
        `The data folder ${folder} cannot be used: ${(error as Error).message}. It must be writable by the user that starts hostroom; start as its owner, or set DATA_DIR to another folder.`,
        { cause: error },
      );
    }
    throw new DatabaseFault(
      `The data folder ${folder} is already in use by pid ${readPid(pidFile)}. Stop that hostroom first, or set DATA_DIR (and PORT, OPS_PORT) to others for a second one.`,
      { cause: error },
    );
  }
  try {
    writeFileSync(pidFile, `${process.pid}\n`);
  } catch (error) {
    file.close();
    throw new DatabaseFault(`The data folder ${folder} cannot be written: ${(error as Error).message}.`, { cause: error });
  }
  return { release: () => file.isOpen && file.close() };
}

/** For this user alone: who can read the file could hold its lock. One that is there is not touched: closing it would drop this process's lock. */
function makePrivate(lockFile: string): void {
  if (existsSync(lockFile)) return;
  try {
    closeSync(openSync(lockFile, 'wx', 0o600));
  } catch (error) {
    // Another start made it in this moment.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

function readPid(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim() || 'unknown';
  } catch (error) {
    // The holder has the lock but has not written its pid yet.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'unknown';
    throw error;
  }
}
