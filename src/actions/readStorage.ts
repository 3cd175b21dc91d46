/** Tells admins what history takes on disk. */

import type { Asker } from '../data/groups.ts';
import { storageBytes } from '../data/partitions.ts';
import type { Kept } from '../data/retention.ts';
import { readOldest } from '../data/storage.ts';
import type { Tier } from '../data/tiers.ts';
import { ReadError } from '../db/reader.ts';
import type { Reader } from '../db/reader.ts';
import { AppError } from '../errors.ts';
import type { Storage } from '../protocol/restHistory.ts';

const order: readonly (Tier | 'hot')[] = ['hot', 'raw', '10s', '1m', '1h'];

/** Throws AppError forbidden for everyone else, busy where it takes too long. */
export async function readStorage(
  { reader, kept }: { reader: Reader; kept(): Kept | Promise<Kept> },
  asker: Asker,
  left: AbortSignal,
): Promise<Storage> {
  if (!asker.admin) throw new AppError('forbidden', 'What history takes on disk is for admins.');
  const ages = await kept();
  try {
    return await reader.read(left, async ({ sql }) => {
      const bytes = await storageBytes(sql);
      const all: Storage['tiers'] = [];
      for (const tier of order) {
        // oxlint-disable-next-line no-await-in-loop -- one connection answers one after the other
        const oldest = await readOldest(sql, tier);
        all.push({ tier, bytes: bytes[tier], oldest, retention: tier === 'hot' ? null : ages[tier] });
      }
      return { tiers: all };
    });
  } catch (error) {
    if (error instanceof ReadError) throw new AppError('busy', 'Ask again in a moment.', { cause: error });
    throw error;
  }
}
