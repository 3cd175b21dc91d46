/** A file system of a few megabytes, to be filled. For root on Linux. */

import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';

export interface SmallDisk {
  folder: string;
  freeBytes(): number;
  /** Takes all space but so much. */
  fill(leavingBytes?: number): void;
  /** Gives it back. */
  free(): void;
}

/** Mounted at `folder` until the test is over. */
export function mountSmallDisk(whenDone: (close: () => void) => void, folder: string, bytes: number): SmallDisk {
  mkdirSync(folder, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=0755`, 'tmpfs', folder]);
  // Lazily: whatever still has a file open there goes on, and the mount is gone when it ends.
  whenDone(() => execFileSync('umount', ['-l', folder]));
  const ballast = join(folder, 'ballast');
  const freeBytes = (): number => {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize;
  };
  return {
    folder,
    freeBytes,
    fill(leavingBytes = 0) {
      const file = openSync(ballast, 'a');
      const block = Buffer.alloc(64 * 1024);
      try {
        for (let left = freeBytes() - leavingBytes; left > 0; left -= block.length) writeSync(file, block, 0, Math.min(left, block.length));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      } finally {
        closeSync(file);
      }
    },
    free: () => rmSync(ballast, { force: true }),
  };
}
