/** Asks every mounted file system for its space without ever waiting for a hung one. */

import { readFile, statfs } from 'node:fs/promises';
import { BackgroundCollector, type Findings } from '../background.ts';
import { chooseMounts, type Mount } from './mounts.ts';

const everyMs = 10_000;
const patienceMs = 2_000;
/** Each hung question holds one of libuv's four threads until the kernel lets go; beyond this no mount that may hang is asked. */
const maxHung = 1;

interface Space {
  bsize: number;
  blocks: number;
  bfree: number;
  bavail: number;
  files: number;
  ffree: number;
}

/** Only those still unanswered stand in `hung`, by path. */
async function ask(mount: Mount, hung: Set<string>, question: (path: string) => Promise<Space>): Promise<Space | undefined> {
  if (hung.has(mount.path) || (mount.mayHang && hung.size >= maxHung)) return undefined;
  hung.add(mount.path);
  const answer = question(mount.path)
    // Not permitted, or unmounted meanwhile: one file system less, which is what the absence of its metrics says.
    .catch(() => undefined)
    .finally(() => hung.delete(mount.path));
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, patienceMs, undefined);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

function figures(path: string, space: Space): Findings {
  const used = (space.blocks - space.bfree) * space.bsize;
  const findings: Findings = [
    ['fs.*.total', path, space.blocks * space.bsize],
    ['fs.*.used', path, used],
    ['fs.*.available', path, space.bavail * space.bsize],
  ];
  // Some file systems make inodes as they need them and report none.
  if (space.files > 0) findings.push(['fs.*.inodes_used', path, (space.files - space.ffree) / space.files]);
  return findings;
}

export interface FilesystemOptions {
  /** Where the machine's file system is mounted, without a trailing slash; empty for the agent's own. */
  root?: string;
  /** These stand in for the system in tests. */
  question?: (path: string) => Promise<Space>;
  mounts?: () => Promise<string>;
}

export function filesystemCollector(options: FilesystemOptions = {}): BackgroundCollector {
  // The agent's own list of mounts, also for another root: it tells what can be asked from here.
  const { root = '', question = statfs, mounts = () => readFile('/proc/self/mounts', 'latin1') } = options;
  const hung = new Set<string>();
  return new BackgroundCollector('filesystem', everyMs, async () => {
    const findings: Findings = [];
    for (const mount of chooseMounts(await mounts(), root)) {
      const space = await ask(mount, hung, (path) => question(`${root}${path}`));
      if (space && space.blocks > 0) findings.push(...figures(mount.path, space));
    }
    return findings;
  });
}
