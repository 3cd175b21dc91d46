/** Finds programs of the machine, servers that Debian keeps out of PATH too. */

import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { environmentFor } from '../config.ts';

/** The full path, or undefined. */
export function findProgram(name: string): string | undefined {
  const folders = [...(environmentFor({})['PATH'] ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin'];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
