/** Memory of this process that is in use, whatever has not been collected yet. */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

let collect: (() => void) | undefined;

/** Bytes of buffers outside the heap, after a collection. */
export function usedBufferBytes(): number {
  setFlagsFromString('--expose-gc');
  collect ??= runInNewContext('gc') as () => void;
  collect();
  return process.memoryUsage().arrayBuffers;
}
