/** Reads a small kernel file again and again through one open descriptor. */

import { closeSync, openSync, readSync } from 'node:fs';

/** Shared by all files: a reading is taken and parsed before the next begins. Grows to the largest file seen. */
let buffer = Buffer.allocUnsafeSlow(16 * 1024);
const maxBytes = 4 * 1024 * 1024;

/** A file of /proc or /sys. The first read opens it; a failed read closes it, so that the next one tries afresh. */
export class ProcFile {
  readonly path: string;
  #descriptor: number | undefined;

  constructor(path: string) {
    this.path = path;
  }

  /** The whole text as it stands now. Throws the system's error (ENOENT where the kernel lacks the file). */
  read(): string {
    try {
      this.#descriptor ??= openSync(this.path, 'r');
      return readAll(this.#descriptor);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }
}

/** The kernel may hand a file over in several pieces: only a read of nothing is its end. */
function readAll(descriptor: number): string {
  let length = 0;
  for (;;) {
    const count = readSync(descriptor, buffer, length, buffer.length - length, length);
    if (count === 0) return buffer.toString('latin1', 0, length);
    length += count;
    if (length < buffer.length) continue;
    if (length >= maxBytes) throw new Error(`larger than ${maxBytes} bytes`);
    const larger = Buffer.allocUnsafeSlow(buffer.length * 2);
    buffer.copy(larger);
    buffer = larger;
  }
}

/** Reads a file that is not worth keeping open. */
export function readOnce(path: string): string {
  const descriptor = openSync(path, 'r');
  try {
    return readAll(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** The rest of the line that begins with `label`, or undefined. */
export function lineAfter(text: string, label: string): string | undefined {
  const start = text.startsWith(label) ? 0 : text.indexOf(`\n${label}`) + 1;
  if (start === 0 && !text.startsWith(label)) return undefined;
  const end = text.indexOf('\n', start);
  return text.slice(start + label.length, end < 0 ? undefined : end);
}

/** The first number after `label` at a line's beginning; NaN where it is missing. */
export const numberAfter = (text: string, label: string): number => Number.parseFloat(lineAfter(text, label) ?? '');
