/** Skips what this machine cannot run, visibly: the test's name then carries what is missing with the way to get it. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'vitest';
import { canMakeNetworks } from './faults/netns.ts';
import { findTool, type ToolName, tools } from './tools.ts';

export type Need = ToolName | 'root' | 'linux' | 'mount' | 'netns';

/**
 * `needs('chromium').test('shows the room', async () => …)`, or `.describe` for a group. Under CI=true `npm test` counts a skip as
 * a failure, so nothing stays untested without being seen.
 */
export function needs(...wanted: Need[]): {
  test: (name: string, run: () => void | Promise<void>, timeoutMs?: number) => void;
  describe: (name: string, run: () => void | Promise<void>) => void;
} {
  const missing = wanted.map(lacking).filter((reason) => reason !== undefined);
  if (missing.length === 0)
    return { test: (name, run, timeoutMs) => test(name, run, timeoutMs), describe: (name, run) => describe(name, run) };
  const reason = ` [skipped: ${missing.join('; ')}]`;
  return { test: (name, run) => test.skip(name + reason, run), describe: (name, run) => describe.skip(name + reason, run) };
}

/** Why a need is not met, or undefined. */
function lacking(need: Need): string | undefined {
  if (need === 'root') return process.getuid?.() === 0 ? undefined : 'needs root';
  if (need === 'linux') return process.platform === 'linux' ? undefined : 'needs Linux';
  if (need === 'mount') return mayMount() ? undefined : 'needs the right to mount (root outside of a container, or CAP_SYS_ADMIN)';
  if (need === 'netns') return canMakeNetworks() ? undefined : 'needs the right to make network namespaces, and ip and nft';
  return findTool(need) === undefined ? `needs ${need}: apt-get install ${tools[need].package}` : undefined;
}

/** Root in a container often may not. */
function mayMount(): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'hostroom-mount-'));
  try {
    if (spawnSync('mount', ['-t', 'tmpfs', 'hostroom-test', folder], { stdio: 'ignore' }).status !== 0) return false;
    return spawnSync('umount', [folder], { stdio: 'ignore' }).status === 0;
  } finally {
    rmdirSync(folder);
  }
}
