/** The status of a host as people see it: what the hub says, with the age of its newest sample. */

import type { HostSummary } from '../../../src/protocol/kinds.ts';

export type Status = 'ok' | 'stale' | 'offline' | 'unknown';

export const statusWords: Record<Status, string> = { ok: 'OK', stale: 'Stale', offline: 'Offline', unknown: 'Unknown' };

const staleAfterMs = 3_000;
const offlineAfterMs = 10_000;
/** Fleet frames come once a second, so a host that is well may look this much older there. */
const fleetLagMs = 1_500;

export function statusOf(hub: HostSummary['status'], newest: number | null, now: number, source: 'room' | 'fleet'): Status {
  if (hub === 'never' && newest === null) return 'unknown';
  const age = newest === null ? Infinity : now - newest - (source === 'fleet' ? fleetLagMs : 0);
  if (age > offlineAfterMs) return 'offline';
  return age > staleAfterMs ? 'stale' : 'ok';
}
