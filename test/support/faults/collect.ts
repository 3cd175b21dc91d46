/** Collects garbage in a hub that runs as a process, to tell what it keeps from what V8 has not looked at yet. */

import type { Hostroom } from '../hostroom.ts';
import { until } from '../until.ts';

const program = `process.on('SIGUSR2', () => { gc(); gc(); process.stderr.write('collected ' + JSON.stringify(process.memoryUsage()) + '\\n'); })`;

/** What the hub has to be started with. */
export const collectable = { NODE_OPTIONS: `--expose-gc --import=data:text/javascript,${encodeURIComponent(program)}` };

/** Bytes in use after a collection: heap, and buffers outside it. */
export async function collect({ child, output }: Hostroom): Promise<number> {
  const answers = (): string[] => output().match(/^collected \{.*\}$/gm) ?? [];
  const before = answers().length;
  child.kill('SIGUSR2');
  await until(() => answers().length > before, 'the hub has collected its garbage');
  const { heapUsed, arrayBuffers } = JSON.parse(answers().at(-1)!.slice('collected '.length)) as NodeJS.MemoryUsage;
  return heapUsed + arrayBuffers;
}
