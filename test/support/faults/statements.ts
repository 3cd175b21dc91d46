/** Counts the statements that a hub sends, by the log of its PostgreSQL. */

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** What the server has to be started with. */
export const loggingStatements = { log_statement: 'all', log_line_prefix: '%a|' } as const;

/** From now on; `take` gives those since the last call, by their first line. */
export function watchStatements(logFile: string): { take(): Map<string, number>; close(): void } {
  const file = openSync(logFile, 'r');
  let at = fstatSync(file).size;
  return {
    take() {
      const size = fstatSync(file).size;
      const text = Buffer.alloc(size - at);
      readSync(file, text, 0, text.length, at);
      at = size;
      const found = new Map<string, number>();
      for (const [, statement] of text.toString().matchAll(/^hostroom\|LOG: {2}(?:statement|execute [^:]*): ((?:\s*\S.*)?(?:\n\t.*)*)/gm)) {
        const name = (statement ?? '').replace(/\s+/g, ' ').trim().slice(0, 90);
        found.set(name, (found.get(name) ?? 0) + 1);
      }
      return found;
    },
    close: () => closeSync(file),
  };
}

export const sumOf = (statements: ReadonlyMap<string, number>): number => [...statements.values()].reduce((sum, count) => sum + count, 0);
