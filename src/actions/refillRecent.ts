/** Puts the newest samples of the hosts whose agents are here back into Redis, which may have lost them. */

import type { RecentSamples } from '../relay/recentSamples.ts';
import type { SampleStream } from '../streams/samples.ts';

export interface RefillParts {
  recent: Pick<RecentSamples, 'fill'>;
  samples: Pick<SampleStream, 'records'>;
}

/** One host after the other, so that what is live is not held up. Rejects where Redis goes away again. */
export async function refillRecent({ recent, samples }: RefillParts, hosts: Iterable<string>): Promise<void> {
  for (const host of hosts) {
    // oxlint-disable-next-line no-await-in-loop -- not all at once
    await recent.fill(host, samples.records(host));
  }
}
