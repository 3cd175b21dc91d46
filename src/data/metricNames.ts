/** Knows which number stands for which metric's name in chunks and rollups. */

import { UnknownName } from '../chunks/names.ts';
import type { Intern, NameOf } from '../chunks/names.ts';
import type { Sql } from '../db/database.ts';

/** Agents may name metrics as they like; beyond so many names of all hosts, new ones stand in the chunks themselves. */
const maxNames = 100_000;

/** Holds all names that were asked for, at most as many as the table may have. */
export class MetricNames {
  readonly #maxNames: number;
  readonly #numbers = new Map<string, number>();
  readonly #names = new Map<number, string>();

  constructor(options: { maxNames?: number } = {}) {
    this.#maxNames = options.maxNames ?? maxNames;
  }

  /** The name behind a number; undefined where it was not learned yet. */
  readonly nameOf: NameOf = (id) => this.#names.get(id);

  /**
   * Gives numbers to those names that have none, within the caller's transaction. What is new becomes known to others, and to
   * this object, by `keep` after the commit only.
   */
  async intern(sql: Sql, names: Iterable<string>): Promise<{ numberOf: Intern; keep(): void }> {
    const unknown = [...new Set(names)].filter((name) => !this.#numbers.has(name)).sort();
    const found = new Map<string, number>();
    if (unknown.length > 0) {
      for (const { id, name } of await readNumbers(sql, unknown)) found.set(name, id);
      const fresh = unknown.filter((name) => !found.has(name));
      if (fresh.length > 0) for (const { id, name } of await insertNames(sql, fresh, this.#maxNames)) found.set(name, id);
    }
    return {
      numberOf: (name) => this.#numbers.get(name) ?? found.get(name),
      keep: () => {
        for (const [name, id] of found) this.#keep(id, name);
      },
    };
  }

  /** What `read` decodes by `nameOf`, having looked up the numbers that it does not know yet. Throws what `read` throws. */
  async decode<T>(sql: Sql, read: () => T): Promise<T> {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof UnknownName) || !(await this.learn(sql, error.ids))) throw error;
      return read();
    }
  }

  /** Looks numbers up that a chunk has; false where the table lacks one of them. */
  async learn(sql: Sql, ids: readonly number[]): Promise<boolean> {
    const rows = await sql<
      { id: number; name: string }[]
    >`select id, name from metric where id = any(${`{${ids.join(',')}}`}::text::integer[])`;
    for (const { id, name } of rows) this.#keep(id, name);
    return rows.length === new Set(ids).size;
  }

  #keep(id: number, name: string): void {
    this.#numbers.set(name, id);
    this.#names.set(id, name);
  }
}

async function readNumbers(sql: Sql, names: string[]): Promise<{ id: number; name: string }[]> {
  return sql<{ id: number; name: string }[]>`select id, name from metric where name = any(${names}::text[])`;
}

async function insertNames(sql: Sql, names: string[], most: number): Promise<{ id: number; name: string }[]> {
  return sql<{ id: number; name: string }[]>`
    insert into metric (name)
    select name from unnest(${names}::text[]) with ordinality as given (name, place)
    order by place limit greatest(0, ${most} - (select count(*) from metric))
    on conflict (name) do update set name = excluded.name
    returning id, name`;
}
