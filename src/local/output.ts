/** Passes on what the programs of a cluster print, line by line with their names. */

import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

export type Output = (who: string, line: string) => void;

export function toOutput({ stdout, stderr }: ChildProcess, who: string, output: Output): void {
  for (const stream of [stdout, stderr]) if (stream) createInterface(stream).on('line', (line) => output(who, line));
}
