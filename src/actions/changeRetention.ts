/** Lets admins shorten how long history is kept, while the hub runs. */

import { leastRetention } from '../config.ts';
import type { Asker } from '../data/groups.ts';
import type { KeptChanges, Retention } from '../data/retention.ts';
import type { Tier } from '../data/tiers.ts';
import { AppError } from '../errors.ts';
import { parseDuration } from '../lib/duration.ts';

const leastMs = parseDuration(leastRetention)!;

export interface RetentionNeeds {
  retention: Retention;
  /** Drops what is over the retention now. */
  apply(): void;
}

/** What falls out of the new retention is dropped, whole partitions at a time. Throws AppError forbidden, invalid. */
export async function changeRetention(needs: RetentionNeeds, asker: Asker, changes: KeptChanges): Promise<void> {
  if (!asker.admin) throw new AppError('forbidden', 'How long history is kept is for admins to say.');
  const { configured } = needs.retention;
  for (const [tier, keptMs] of Object.entries(changes) as [Tier, number | null][]) {
    if (keptMs !== null && (keptMs < leastMs || keptMs > configured[tier])) {
      throw new AppError(
        'invalid',
        `${tier}: give ${leastMs} to ${configured[tier]} ms, or null for what is configured; more is for the configuration to allow.`,
      );
    }
  }
  await needs.retention.change(changes);
  needs.apply();
}
