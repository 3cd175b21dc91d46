/** Which programs outside of npm the tests need, whether this machine has them, and how to get them. */

import { accessSync, constants, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';

export interface Tool {
  /** Any of these is enough; the first one found is used. */
  programs: readonly string[];
  /** Debian's package that brings it. */
  package: string;
}

/** Everything a test may ask for by `needs(name)`. */
export const tools = {
  chromium: { programs: ['chromium', 'chromium-browser', 'google-chrome'], package: 'chromium' },
  postgresql: { programs: ['postgres'], package: 'postgresql' },
  pgDump: { programs: ['pg_dump'], package: 'postgresql-client' },
  redis: { programs: ['redis-server'], package: 'redis-server' },
  nginx: { programs: ['nginx'], package: 'nginx' },
  openssl: { programs: ['openssl'], package: 'openssl' },
  setpriv: { programs: ['setpriv'], package: 'util-linux' },
  ip: { programs: ['ip'], package: 'iproute2' },
  nft: { programs: ['nft'], package: 'nftables' },
  faketime: { programs: ['faketime'], package: 'faketime' },
  vmstat: { programs: ['vmstat'], package: 'procps' },
  ps: { programs: ['ps'], package: 'procps' },
  kubectl: { programs: ['kubectl'], package: 'kubernetes-client' },
  prometheus: { programs: ['prometheus'], package: 'prometheus' },
  promtool: { programs: ['promtool'], package: 'prometheus' },
  cc: { programs: ['cc'], package: 'build-essential' },
} as const satisfies Record<string, Tool>;

export type ToolName = keyof typeof tools;

/** Full path of the program, or undefined; servers that Debian keeps out of PATH are found too. */
export function findTool(name: ToolName): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', ...postgresFolders()];
  for (const program of tools[name].programs) {
    const found = folders.map((folder) => join(folder, program)).find(isExecutable);
    if (found !== undefined) return found;
  }
  return undefined;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Debian's `/usr/lib/postgresql/<version>/bin`, newest first. */
function postgresFolders(): string[] {
  const root = '/usr/lib/postgresql';
  try {
    return readdirSync(root)
      .toSorted((a, b) => Number(b) - Number(a))
      .map((version) => join(root, version, 'bin'));
  } catch {
    return [];
  }
}
