/** The form of one publication in a segment: found again behind damage, checked before it is believed. */

import zlib from 'node:zlib';
import type { AgentPublication } from '../../src/protocol/kinds.ts';

/** A publication as the sampler hands it over. */
export interface Draft {
  kind: AgentPublication['kind'];
  boot: string;
  seq: number;
  /** Monotonic ms of the reading, within the boot. */
  takenMs: number;
  /** Hub time; missing while no hub was reached since the start. */
  at: number | undefined;
  /** JSON of the fields of its kind without the outer braces, such as `"metrics":{…}`. */
  body: string;
}

export interface Stored extends Draft {
  /** Counts all that was ever written to this spool; a hole is what was lost by damage. */
  number: number;
  /** This machine's idea of the time of the reading, ms since 1970: the last resort where hub time was never known. */
  wallMs: number;
}

/** Bytes that no UTF-8 text contains, so that the next record is found behind a damaged one. */
const magic = Buffer.from([0xff, 0x68, 0x72, 0xfe]);
/** Magic, length of the payload, CRC-32 of length and payload. */
export const headBytes = 12;
/** More than a hub takes in one frame: a length beyond it is damage. */
export const maxPayloadBytes = 512 * 1024;

const crcTable = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** For Node before 20.15, which has none of its own. */
export function plainCrc32(data: Uint8Array, before = 0): number {
  let crc = ~before;
  for (const byte of data) crc = crcTable[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

export const crc32: (data: Uint8Array, before?: number) => number = (zlib as Partial<Pick<typeof zlib, 'crc32'>>).crc32 ?? plainCrc32;

/** Undefined where it is larger than a hub would take. */
export function encodeRecord({ body, ...head }: Stored): Buffer | undefined {
  const payload = Buffer.from(`${JSON.stringify(head)}\n${body}`);
  if (payload.length > maxPayloadBytes) return undefined;
  const prefix = Buffer.alloc(headBytes);
  magic.copy(prefix);
  prefix.writeUInt32LE(payload.length, 4);
  prefix.writeUInt32LE(crc32(payload, crc32(prefix.subarray(4, 8))), 8);
  return Buffer.concat([prefix, payload]);
}

export type Found =
  /** `end`: where the next one begins. */
  | { record: Stored; end: number }
  /** No whole record is left; one may begin at `from` that is cut here. */
  | { record?: undefined; from: number };

/** The next good record at or behind `from`; what is damaged before it is stepped over. */
export function findRecord(data: Buffer, from: number): Found {
  /** The first place where more bytes could make a record. */
  let cut: number | undefined;
  for (let at = data.indexOf(magic, from); at >= 0; at = data.indexOf(magic, at + 1)) {
    if (at + headBytes > data.length) return { from: cut ?? at };
    const length = data.readUInt32LE(at + 4);
    if (length === 0 || length > maxPayloadBytes) continue;
    const end = at + headBytes + length;
    if (end > data.length) {
      cut ??= at;
      continue;
    }
    const payload = data.subarray(at + headBytes, end);
    if (crc32(payload, crc32(data.subarray(at + 4, at + 8))) !== data.readUInt32LE(at + 8)) continue;
    const record = decode(payload);
    if (record) return { record, end };
  }
  // A magic may be cut at the very end.
  return { from: cut ?? Math.max(from, data.length - magic.length + 1) };
}

/** Undefined where the check sum is right and the content is not: another program's, or a later version's. */
function decode(payload: Buffer): Stored | undefined {
  const split = payload.indexOf(10);
  if (split < 0) return undefined;
  let head: Partial<Stored>;
  try {
    head = JSON.parse(payload.toString('utf8', 0, split)) as Partial<Stored>;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  const { kind, boot, seq, takenMs, at, number, wallMs } = head;
  const isWhole =
    (kind === 'sample' || kind === 'processes') &&
    typeof boot === 'string' &&
    [seq, number].every(Number.isSafeInteger) &&
    [takenMs, wallMs].every(Number.isFinite) &&
    (at === undefined || Number.isSafeInteger(at));
  return isWhole ? ({ ...head, at, body: payload.toString('utf8', split + 1) } as Stored) : undefined;
}
