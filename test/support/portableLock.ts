/**
 * Lets the npm of an old Node install what is for one platform: `node src/pinned.mjs test/support/portableLock.ts` after every change of
 * package-lock.json.
 *
 * npm leaves out an optional package whose "engines" the Node that runs npm does not meet, though the project runs on a Node of its own.
 */
import { readFileSync, writeFileSync } from 'node:fs';

interface Entry {
  optional?: boolean;
  os?: string[];
  engines?: unknown;
}

const file = new URL('../../package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(file, 'utf8')) as { packages: Record<string, Entry> };
let removed = 0;
for (const entry of Object.values(lock.packages)) {
  if (!entry.optional || !entry.os || !entry.engines) continue;
  delete entry.engines;
  removed++;
}
if (removed > 0) writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
process.stdout.write(`${removed} packages no longer name a version of Node\n`);
