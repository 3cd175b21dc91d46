/** Gives a program a clock that is wrong, and may be set while it runs; needs `faketime`. */

import { existsSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface WrongClock {
  /** For the program. Its monotonic clock stays right. */
  environment: Record<string, string>;
  set(aheadSeconds: number): void;
}

/** @param name of a file in `folder` that holds the difference */
export function makeWrongClock(folder: string, name: string, aheadSeconds: number): WrongClock {
  const file = join(folder, name);
  const set = (seconds: number): void => {
    // As a whole or not at all: it is read at any moment.
    writeFileSync(`${file}.new`, `${seconds < 0 ? '-' : '+'}${Math.abs(seconds)}\n`);
    renameSync(`${file}.new`, file);
  };
  set(aheadSeconds);
  return {
    environment: {
      LD_PRELOAD: library(),
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    },
    set,
  };
}

/** Debian puts it into a folder of the architecture. */
function library(): string {
  const found = ['', ...readdirSync('/usr/lib')]
    .map((folder) => join('/usr/lib', folder, 'faketime/libfaketime.so.1'))
    .find((path) => existsSync(path));
  if (found === undefined) throw new Error('faketime is installed, its library is nowhere');
  return found;
}
