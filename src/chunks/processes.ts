/** Codes the process lists of one host-minute as one chunk. */

import type { Process } from '../protocol/kinds.ts';
import { ByteReader, ByteWriter, ChunkError } from './bytes.ts';
import { readColumn, readWholes, writeColumn, writeWholes } from './columns.ts';
import { unwrap, wrap } from './envelope.ts';
import { readStamps, writeStamps } from './head.ts';
import type { Stamp } from './head.ts';

export interface ChunkProcesses extends Stamp {
  top: Process[];
}

/** Lists of any number, ascending by `at`. Numbers are kept exactly. */
export function encodeProcesses(lists: readonly ChunkProcesses[]): Buffer {
  const to = new ByteWriter();
  writeStamps(to, lists);
  writeWholes(
    to,
    lists.map((list) => list.top.length),
  );
  const rows = lists.flatMap((list) => list.top);
  // The same processes come again and again: each is described once.
  const known = new Map<string, number>();
  const described: Process[] = [];
  const which = rows.map((row) => {
    const key = JSON.stringify([row.pid, row.name, row.user]);
    let index = known.get(key);
    if (index === undefined) {
      index = described.push(row) - 1;
      known.set(key, index);
    }
    return index;
  });
  to.varint(described.length);
  writeColumn(
    to,
    undefined,
    described.map((row) => row.pid),
  );
  for (const { name, user } of described) {
    to.text(name);
    to.text(user);
  }
  writeWholes(to, which);
  for (const field of ['cpu', 'memory', 'io'] as const) {
    // One column per process: its figures change little, its neighbours' are others.
    const columns = described.map((): number[] => []);
    rows.forEach((row, i) => columns[which[i]!]!.push(row[field]));
    for (const column of columns) writeColumn(to, undefined, column);
  }
  return wrap('processes', to.done());
}

/** Throws ChunkError where the chunk is damaged. */
export function decodeProcesses(chunk: Uint8Array): ChunkProcesses[] {
  const from = new ByteReader(unwrap('processes', chunk));
  const lists = readStamps(from).map((stamp): ChunkProcesses => ({ ...stamp, top: [] }));
  const lengths = readWholes(from, lists.length);
  const rowCount = lengths.reduce((sum, length) => sum + length, 0);
  const count = from.count(2);
  const pids = readColumn(from, count);
  const described = pids.map((pid) => ({ pid, name: from.text(), user: from.text() }));
  // A row takes at least a bit of what it belongs to: one that is alone has three columns of two bytes.
  if (!(rowCount >= count && rowCount <= 1_000_000 && lengths.every((length) => length >= 0)))
    throw new ChunkError('its lists make no sense');
  const which = readWholes(from, rowCount);
  const uses = described.map(() => 0);
  for (const index of which) {
    if (!(index in uses)) throw new ChunkError('a process is not described');
    uses[index]!++;
  }
  const [cpu, memory, io] = [0, 1, 2].map(() => uses.map((rows) => readColumn(from, rows).values()));
  from.end();
  let next = 0;
  lists.forEach((list, i) => {
    for (let left = lengths[i]!; left > 0; left--) {
      const index = which[next++]!;
      const value = (columns: Iterator<number>[]): number => columns[index]!.next().value as number;
      list.top.push({ ...described[index]!, cpu: value(cpu!), memory: value(memory!), io: value(io!) });
    }
  });
  return lists;
}
