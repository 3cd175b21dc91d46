/** Replays a recording as many hosts, each from another moment of it, so that their minutes differ as real ones do. */

import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import type { SampleRow } from '../../src/data/samples.ts';
import { newId } from '../../src/lib/id.ts';
import type { AgentPublication } from '../../src/protocol/kinds.ts';

export interface Recording {
  publications: AgentPublication[];
  /** From the first publication to a second after the last. */
  lengthMs: number;
  /** In a sample, on average: some come every 10 s only. */
  metrics: number;
}

export function readRecording(file: string): Recording {
  const lines = gunzipSync(readFileSync(file)).toString('utf8').trim().split('\n');
  // The first seconds of an agent have no rates yet.
  const publications = lines.map((line) => JSON.parse(line) as AgentPublication).slice(3);
  const [first, last] = [publications[0], publications.at(-1)];
  if (!first || !last) throw new Error(`${file} holds no samples`);
  const counts = publications.flatMap((one) => (one.kind === 'sample' ? [Object.keys(one.metrics).length] : []));
  const metrics = Math.round(counts.reduce((sum, count) => sum + count, 0) / counts.length);
  return { publications, lengthMs: Math.ceil((last.at - first.at) / 1_000) * 1_000 + 1_000, metrics };
}

/** What one host publishes from `fromMs` to `toMs`; `place` of all hosts, 0 … 1, is where in the recording it begins. */
export function replay(recording: Recording, host: string, place: number, fromMs: number, toMs: number): SampleRow[] {
  const { publications, lengthMs } = recording;
  const boot = newId();
  const start = Math.floor(place * publications.length);
  const base = publications[0]!.at;
  const shiftMs = publications[start]!.at - base;
  const rows: SampleRow[] = [];
  for (let i = start; ; i++) {
    const one = publications[i % publications.length]!;
    const at = fromMs + (one.at - base) - shiftMs + Math.floor(i / publications.length) * lengthMs;
    if (at >= toMs) return rows;
    const seq = i - start + 1;
    rows.push({ host, kind: one.kind, at, boot, seq, frame: JSON.stringify({ ...one, at, seq, boot }) });
  }
}
