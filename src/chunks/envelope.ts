/** Wraps what a chunk holds: format and version, checksum, compression. */

import { crc32, deflateRawSync, inflateRawSync } from 'node:zlib';
import { ChunkError } from './bytes.ts';

/** What is inside; a number, once given, keeps its meaning. */
export const contents = { samples: 1, processes: 2, rollups: 3 } as const;
export type Content = keyof typeof contents;

const version = 1;
const headBytes = 6;
const deflated = 0x80;
/** Less than that shrinks by a sixth at most, and is read three times as fast as it is. */
const worthBytes = 1024;
/** A minute of 2,000 metrics every 20 ms; whatever claims to be more is refused before it takes the memory. */
export const maxContentBytes = 48 * 1024 * 1024;

/** Layout: version, content (| 0x80 where deflated), CRC-32 of the rest (4 bytes, low first), content. Throws ChunkError where it is too large. */
export function wrap(content: Content, data: Uint8Array): Buffer {
  if (data.length > maxContentBytes) throw new ChunkError(`${data.length} bytes are more than a chunk may hold`);
  const packed = data.length < worthBytes ? data : deflateRawSync(data, { level: 6, memLevel: 9 });
  const smaller = packed.length < data.length;
  const body = smaller ? packed : data;
  const chunk = Buffer.allocUnsafe(headBytes + body.length);
  chunk[0] = version;
  chunk[1] = contents[content] | (smaller ? deflated : 0);
  chunk.writeUInt32LE(crc32(body), 2);
  chunk.set(body, headBytes);
  return chunk;
}

/** Gives the content back. Throws ChunkError where the chunk is damaged, holds something else, or would grow beyond the bound. */
export function unwrap(content: Content, chunk: Uint8Array): Uint8Array {
  if (chunk.length < headBytes) throw new ChunkError('it is shorter than its head');
  if (chunk[0] !== version) throw new ChunkError(`its version is ${chunk[0]}, this build knows ${version}`);
  if ((chunk[1]! & ~deflated) !== contents[content]) throw new ChunkError(`it does not hold ${content}`);
  const body = chunk.subarray(headBytes);
  const sum = chunk[2]! + chunk[3]! * 2 ** 8 + chunk[4]! * 2 ** 16 + chunk[5]! * 2 ** 24;
  if (crc32(body) !== sum) throw new ChunkError('its checksum is wrong');
  if (!(chunk[1]! & deflated)) return body;
  try {
    return inflateRawSync(body, { maxOutputLength: maxContentBytes });
  } catch (error) {
    throw new ChunkError('it does not inflate', { cause: error });
  }
}
