/** The lock file lets an old npm install everything: see test/support/portableLock.ts. */

import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

interface Entry {
  optional?: boolean;
  os?: string[];
  engines?: unknown;
}

test('no package for one platform asks for a version of the Node that runs npm (mend: node src/pinned.mjs test/support/portableLock.ts)', () => {
  const text = readFileSync(new URL('../../package-lock.json', import.meta.url), 'utf8');
  const packages = Object.entries((JSON.parse(text) as { packages: Record<string, Entry> }).packages);
  const forOnePlatform = packages.filter(([, entry]) => entry.optional && entry.os);
  expect(forOnePlatform.length).toBeGreaterThan(50);
  expect(forOnePlatform.filter(([, entry]) => entry.engines).map(([name]) => name)).toEqual([]);
});
