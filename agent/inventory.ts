/** Learns what seldom changes on this host, once at start. */

import { execFile } from 'node:child_process';
import { uptime } from 'node:os';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Inventory } from '../src/protocol/kinds.ts';
import type { HubClock } from './clock.ts';
import type { Log } from './log.ts';

const patienceMs = 30_000;

export interface InventoryParts {
  version: string;
  clock: HubClock;
  log: Log;
  /** As in the configuration. */
  hostRoot: string;
  /** Ends the probe. */
  signal: AbortSignal;
}

/** A function that gives the inventory once the probe has finished, or undefined where it failed (said once). */
export function startInventory(parts: InventoryParts): () => Promise<Inventory | undefined> {
  const { version, clock, log, hostRoot, signal } = parts;
  // The packed agent is made of .js files.
  const probe = fileURLToPath(new URL(`./inventoryProbe${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url));
  const facts = promisify(execFile)(process.execPath, [probe, hostRoot], { timeout: patienceMs, signal, windowsHide: true }).then(
    ({ stdout }) => JSON.parse(stdout) as Omit<Inventory, 'agentVersion' | 'bootedAt'>,
    (error: unknown) => {
      if (!signal.aborted) log.warn('the inventory could not be read', { error: String(error).slice(0, 500) });
      return undefined;
    },
  );
  return async () => {
    const known = await facts;
    const bootedAt = Math.round((clock.timeAt(performance.now()) - uptime() * 1000) / 1000) * 1000;
    return known && { ...known, agentVersion: version, bootedAt };
  };
}
