/** Packs a few small files into a gzipped tar archive (ustar). */

import { gzipSync } from 'node:zlib';

export interface ArchiveFile {
  /** With `/`, at most 100 bytes. */
  path: string;
  content: Uint8Array;
  executable?: boolean;
}

const blockBytes = 512;

/** The same files give the same bytes: times and owners are fixed. */
export function packTarGz(files: readonly ArchiveFile[]): Buffer {
  const blocks: Uint8Array[] = [];
  for (const { path, content, executable } of files) {
    blocks.push(header(path, content.length, executable === true), content, new Uint8Array(-content.length & (blockBytes - 1)));
  }
  blocks.push(new Uint8Array(2 * blockBytes));
  return gzipSync(Buffer.concat(blocks), { level: 9 });
}

function header(path: string, size: number, executable: boolean): Buffer {
  const block = Buffer.alloc(blockBytes);
  if (Buffer.byteLength(path) > 100) throw new Error(`too long for an archive: ${path}`);
  const octal = (value: number, offset: number, length: number): number =>
    block.write(`${value.toString(8).padStart(length - 1, '0')}\0`, offset);
  block.write(path, 0);
  octal(executable ? 0o755 : 0o644, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(0, 136, 12);
  // The checksum is taken with its own field full of spaces.
  block.write('        ', 148);
  block.write('0', 156);
  block.write('ustar\u000000', 257);
  block.write('root', 265);
  block.write('root', 297);
  block.write(
    `${block
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
  );
  return block;
}
