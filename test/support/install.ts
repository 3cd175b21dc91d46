/** Installs missing programs from Debian's packages, where that needs no question: as root, on Debian or Ubuntu. */

import { spawnSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { findTool, type ToolName, tools } from './tools.ts';

const policyFile = '/usr/sbin/policy-rc.d';

/** Installs what is missing of `wanted`; returns what is still missing. Never asks, never starts the services it installs. */
export function installTools(wanted: readonly ToolName[]): ToolName[] {
  const missing = wanted.filter((name) => findTool(name) === undefined);
  if (missing.length === 0 || process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return missing;
  const packages = [...new Set(missing.map((name) => tools[name].package))];
  console.log(`Installing for the tests: ${packages.join(' ')}`);
  withoutServices(() => {
    apt('update');
    apt('install', '-y', '--no-install-recommends', ...packages);
  });
  return missing.filter((name) => findTool(name) === undefined);
}

function apt(...args: string[]): void {
  const done = spawnSync('apt-get', ['-qq', '-o', 'DPkg::Lock::Timeout=120', ...args], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
  if (done.status !== 0) console.error(`apt-get ${args[0] ?? ''} ended with ${done.status ?? done.signal ?? String(done.error)}`);
}

/** Debian starts a service when its package is installed, unless this file forbids it. */
function withoutServices(run: () => void): void {
  if (existsSync(policyFile)) return run();
  writeFileSync(policyFile, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    run();
  } finally {
    rmSync(policyFile, { force: true });
  }
}
