/** Goes through much without holding up everything else. */

import { setImmediate } from 'node:timers/promises';

/** Long enough to be quick, short enough that nobody notices. */
const turnMs = 3;

/** Gives each item, and lets others have their turn whenever 3 ms have passed. */
export async function* turns<T>(items: Iterable<T>): AsyncGenerator<T> {
  let begunMs = performance.now();
  for (const item of items) {
    yield item;
    if (performance.now() - begunMs < turnMs) continue;
    await setImmediate();
    begunMs = performance.now();
  }
}
