/** Reads the project's sources as the architecture test sees them: their lines and what they import. */

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, sep } from 'node:path';

export interface Source {
  /** From the project's root, with forward slashes: `src/hub/hub.ts`. */
  path: string;
  text: string;
}

/** All TypeScript files below the given folders of `root`. */
export function readSources(root: string, folders: readonly string[]): Source[] {
  return folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name) && !/node_modules|[\\/]dist/.test(entry.parentPath))
      .map((entry) => join(entry.parentPath, entry.name))
      .map((file) => ({ path: file.slice(root.length).replaceAll(sep, '/').replace(/^\//, ''), text: readFileSync(file, 'utf8') })),
  );
}

/** The text without lines that are only comment, so that prose about a rule does not break it. */
export function codeOf(text: string): string {
  return text
    .split('\n')
    .map((line) => (/^\s*(\/\/|\/\*|\*)/.test(line) ? '' : line))
    .join('\n');
}

/** What a file imports: own files as paths from the root, packages by their specifier. `values` leaves out `import type`. */
export function importsOf(source: Source, which: 'all' | 'values' = 'all'): string[] {
  const every = codeOf(source.text);
  const code = which === 'all' ? every : every.replace(/^\s*(?:import|export)\s+type\b[^;'"]*?\bfrom\s*['"][^'"]+['"]/gm, '');
  const found: string[] = [];
  const forms = [
    /^\s*(?:import|export)\b[^;'"]*?\bfrom\s*['"]([^'"]+)['"]/gm,
    /^\s*import\s*['"]([^'"]+)['"]/gm,
    /\bimport\(\s*['"]([^'"]+)['"]\s*\)/g,
  ];
  for (const form of forms) for (const match of code.matchAll(form)) found.push(match[1] ?? '');
  return found.map((name) => (name.startsWith('.') ? normalize(join(dirname(source.path), name)).replaceAll(sep, '/') : name));
}

/** The paths of `start` and everything it reaches through imports among `sources`. */
export function reachableFrom(start: string, imports: ReadonlyMap<string, readonly string[]>): Set<string> {
  const seen = new Set<string>();
  const waiting = [start];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (seen.has(path)) continue;
    seen.add(path);
    waiting.push(...(imports.get(path) ?? []));
  }
  return seen;
}
