/** Writes the stored publications of a host as text for programs. */

import type { Stamp } from '../chunks/head.ts';
import type { ChunkSample } from '../chunks/samples.ts';
import { readProcesses, readRaw } from '../data/history.ts';
import type { HistoryParts } from '../data/history.ts';
import { minuteMs } from '../data/tiers.ts';
import { AppError } from '../errors.ts';

/** Milliseconds since 1970 UTC: `from` inclusive, `to` exclusive. */
export interface SampleRange {
  host: string;
  kind: 'sample' | 'processes';
  from: number;
  to: number;
}

/** Stands in the place of a minute that could not be read, as a line of its own. */
export interface LineFault {
  kind: 'fault';
  code: 'corrupt';
  /** Samples with from ≤ at < to are missing. */
  from: number;
  to: number;
}

/**
 * One sample, or process list, as in the room per line, ascending; a page at a time, so a slow reader holds nothing but one page. A minute that cannot be
 * read is told as a LineFault, before the page in which it would stand.
 */
export async function* asNdjson(history: HistoryParts, range: SampleRange): AsyncGenerator<string> {
  const faults: LineFault[] = [];
  const told = (): string => lines(faults.splice(0));
  const parts: HistoryParts = {
    ...history,
    corrupt(error, chunk) {
      history.corrupt?.(error, chunk);
      faults.push({ kind: 'fault', code: 'corrupt', from: chunk.at, to: chunk.at + minuteMs });
    },
  };
  const { host, kind, from, to } = range;
  const given = { host, fromMs: from, toMs: to };
  for await (const page of kind === 'sample' ? readRaw(parts, given) : readProcesses(parts, given)) {
    if (faults.length > 0) yield told();
    for await (const some of slices<Stamp>(page)) yield lines(some.map(({ at, seq, boot, ...rest }) => ({ kind, at, seq, boot, ...rest })));
  }
  if (faults.length > 0) yield told();
}

/** An agent may name metrics as it likes: so many columns are more than any program reads. */
const maxColumns = 10_000;

/**
 * A column per metric that occurs in the range; the first line names them, so the range is gone through once before. Minutes that cannot be read are left out.
 * Throws AppError invalid for too many.
 */
export async function* samplesAsCsv(history: HistoryParts, { host, from, to }: Omit<SampleRange, 'kind'>): AsyncGenerator<string> {
  const found = new Set<string>();
  const range = { host, fromMs: from, toMs: to };
  const note = (name: string): boolean => {
    found.add(name);
    if (found.size > maxColumns) {
      throw new AppError('invalid', `from, to: more than ${maxColumns} metrics in this range; ask for less, or for NDJSON.`);
    }
    return false;
  };
  // Of the names alone: values are decoded the second time.
  const reading = readRaw({ sql: history.sql, names: history.names }, { ...range, wanted: note });
  while (!(await reading.next()).done);
  const names = [...found].sort((a, b) => (a < b ? -1 : 1));
  yield `${['at', 'boot', 'seq', ...names.map(csvCell)].join(',')}\r\n`;
  for await (const page of readRaw(history, range)) {
    for await (const some of slices(page)) yield some.map((sample) => csvLine(sample, names)).join('');
  }
}

/** So few that writing them out takes a few milliseconds, with room for others' work in between. */
const sliceSamples = 100;

async function* slices<T>(page: readonly T[]): AsyncGenerator<T[]> {
  for (let i = 0; i < page.length; i += sliceSamples) {
    await new Promise((resolve) => setImmediate(resolve));
    yield page.slice(i, i + sliceSamples);
  }
}

const lines = (values: readonly object[]): string => values.map((value) => `${JSON.stringify(value)}\n`).join('');

const csvLine = ({ at, boot, seq, metrics }: ChunkSample, names: string[]): string =>
  `${at},${boot},${seq},${names.map((name) => (Object.hasOwn(metrics, name) ? metrics[name] : '')).join(',')}\r\n`;

/** Names come from agents: one that a spreadsheet would run as a formula gets an apostrophe before it. */
function csvCell(text: string): string {
  const harmless = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}
