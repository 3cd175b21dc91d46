/** Codes which metrics a chunk holds: known ones as numbers, others by name. */

import { ChunkError } from './bytes.ts';
import type { ByteReader, ByteWriter } from './bytes.ts';

/** The number of a metric's name; undefined where it has none, so that the chunk carries the name itself. */
export type Intern = (name: string) => number | undefined;
/** The reverse; undefined for numbers never given. */
export type NameOf = (id: number) => string | undefined;

/** Writes the names; gives them back in the order in which their columns have to follow. */
export function writeNames(to: ByteWriter, names: Iterable<string>, intern: Intern): string[] {
  const numbered: [id: number, name: string][] = [];
  const others: string[] = [];
  for (const name of names) {
    const id = intern(name);
    if (id === undefined) others.push(name);
    else numbered.push([id, name]);
  }
  numbered.sort(([a], [b]) => a - b);
  to.varint(numbered.length);
  let last = 0;
  for (const [id] of numbered) {
    to.varint(id - last);
    last = id;
  }
  to.varint(others.length);
  for (const name of others) to.text(name);
  return [...numbered.map(([, name]) => name), ...others];
}

/** Throws UnknownName where a number has no name. */
export function readNames(from: ByteReader, nameOf: NameOf): string[] {
  const names: string[] = [];
  const unknown: number[] = [];
  let id = 0;
  for (let left = from.count(1); left > 0; left--) {
    id += from.varint();
    const name = nameOf(id);
    if (name === undefined) unknown.push(id);
    names.push(name ?? '');
  }
  if (unknown.length > 0) throw new UnknownName(unknown);
  for (let left = from.count(1); left > 0; left--) names.push(from.text());
  return names;
}

/** Numbers without a name: not looked up yet, or never given. */
export class UnknownName extends ChunkError {
  readonly ids: readonly number[];

  constructor(ids: readonly number[]) {
    super(`it has metrics without a name: ${ids.slice(0, 10).join(', ')}`);
    this.name = 'UnknownName';
    this.ids = ids;
  }
}
