/** Keeps, beside the segments, how far the hub has committed them. */

import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Loss } from '../../src/protocol/kinds.ts';
import { crc32 } from './record.ts';

/** Between two records: the one before is done with. */
export interface Place {
  /** Of the record that comes next. */
  number: number;
  /** The segment, by the number of its first record. */
  base: number;
  /** Bytes into that segment. */
  offset: number;
}

export interface Position extends Place {
  /** The host whose publications these are, once enrolled. */
  owner?: string;
  /** Milliseconds from a boot's monotonic clock to hub time, where records were written before hub time was known. */
  offsets: Record<string, number>;
  /** Lost and not told to the hub. */
  untold: Loss[];
}

const fileName = 'position';

/** Undefined where there is none or it is damaged; then everything is sent again, which is harmless. */
export function loadPosition(folder: string): Position | undefined {
  let text: string;
  try {
    text = readFileSync(join(folder, fileName), 'utf8');
  } catch {
    return undefined;
  }
  const [json = '', sum] = text.split('\n');
  if (crc32(Buffer.from(json)).toString(16) !== sum) return undefined;
  const position = JSON.parse(json) as Position;
  return [position.number, position.base, position.offset].every(Number.isSafeInteger) ? position : undefined;
}

/** Whole or not at all. Not forced to the disk: after a power cut some is sent again. Throws the file system's error. */
export function savePosition(folder: string, position: Position): void {
  const path = join(folder, fileName);
  const json = JSON.stringify(position);
  writeFileSync(`${path}.new`, `${json}\n${crc32(Buffer.from(json)).toString(16)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}
