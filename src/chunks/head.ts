/** Codes when, by which start of the agent, and as which number each publication of a chunk was made. */

import { ChunkError } from './bytes.ts';
import type { ByteReader, ByteWriter } from './bytes.ts';
import { readWholes, writeWholes } from './columns.ts';

export interface Stamp {
  /** Milliseconds since 1970 UTC. */
  at: number;
  seq: number;
  /** A UUID in lower case. */
  boot: string;
}

/** Columns without data take no space per publication; a damaged count must not take memory. */
const most = 1_000_000;

export function writeStamps(to: ByteWriter, stamps: readonly Stamp[]): void {
  const boots = [...new Set(stamps.map((stamp) => stamp.boot))];
  const column = (valueOf: (stamp: Stamp) => number): void => writeWholes(to, stamps.map(valueOf));
  to.varint(stamps.length);
  to.varint(boots.length);
  for (const boot of boots) to.bytes(Buffer.from(boot.replaceAll('-', ''), 'hex'));
  column((stamp) => boots.indexOf(stamp.boot));
  column((stamp) => stamp.at);
  column((stamp) => stamp.seq);
}

export function readStamps(from: ByteReader): Stamp[] {
  const count = from.varint();
  if (count > most) throw new ChunkError(`it claims to hold ${count} publications`);
  const boots = Array.from({ length: from.count(16) }, () => toUuid(from.bytes(16)));
  const bootOf = readWholes(from, count);
  const at = readWholes(from, count);
  const seq = readWholes(from, count);
  return at.map((moment, i) => {
    const boot = boots[bootOf[i]!];
    if (boot === undefined) throw new ChunkError('a publication has no boot');
    return { at: moment, seq: seq[i]!, boot };
  });
}

function toUuid(data: Uint8Array): string {
  const hex = Buffer.from(data).toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
