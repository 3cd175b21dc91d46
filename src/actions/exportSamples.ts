/** Writes the stored samples of a host as text for programs. */

import { streamSamples } from '../data/samples.ts';
import type { Sql } from '../db/database.ts';
import { AppError } from '../errors.ts';
import type { Sample } from '../protocol/kinds.ts';

/** Milliseconds since 1970 UTC: `from` inclusive, `to` exclusive. */
export interface SampleRange {
  host: string;
  from: number;
  to: number;
}

/** One sample as in the room per line, ascending; a page at a time, so a slow reader holds nothing but one page. */
export async function* samplesAsNdjson(sql: Sql, { host, from, to }: SampleRange): AsyncGenerator<string> {
  for await (const page of streamSamples(sql, host, from, to)) yield `${page.join('\n')}\n`;
}

/** An agent may name metrics as it likes: so many columns are more than any program reads. */
const maxColumns = 10_000;

/** A column per metric that occurs in the range, which takes a reading of its own to know. Throws AppError invalid for too many. */
export async function* samplesAsCsv(sql: Sql, { host, from, to }: SampleRange): AsyncGenerator<string> {
  const found = new Set<string>();
  for await (const page of streamSamples(sql, host, from, to)) {
    for (const frame of page) for (const name in (JSON.parse(frame) as Sample).metrics) found.add(name);
    if (found.size > maxColumns) {
      throw new AppError('invalid', `from, to: more than ${maxColumns} metrics in this range; ask for less, or for NDJSON.`);
    }
  }
  const names = [...found].sort((a, b) => (a < b ? -1 : 1));
  yield `${['at', 'boot', 'seq', ...names.map(csvCell)].join(',')}\r\n`;
  for await (const page of streamSamples(sql, host, from, to)) {
    yield page.map((frame) => csvLine(JSON.parse(frame) as Sample, names)).join('');
  }
}

const csvLine = ({ at, boot, seq, metrics }: Sample, names: string[]): string =>
  `${at},${boot},${seq},${names.map((name) => (Object.hasOwn(metrics, name) ? metrics[name] : '')).join(',')}\r\n`;

/** Names come from agents: one that a spreadsheet would run as a formula gets an apostrophe before it. */
function csvCell(text: string): string {
  const harmless = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}
