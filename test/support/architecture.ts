/** The rules of the house as functions from sources to complaints; `test/architecture.test.ts` feeds them the real tree. */

import { codeOf, importsOf, type Source } from './sources.ts';

/** From top to bottom; a file may import what stands below its own line, or in its own folder. */
export const layers: readonly (readonly string[])[] = [
  ['src/main.ts', 'src/start.ts', 'src/clusterMain.ts', 'src/migrateMain.ts', 'src/local', 'src/run.ts', 'src/stop.ts', 'src/conformance'],
  ['src/app.ts'],
  ['src/admission.ts', 'src/hearing.ts'],
  ['src/storage.ts', 'src/history.ts', 'src/replication.ts', 'src/preflight.ts', 'src/traces.ts'],
  ['src/gateway', 'src/api', 'src/cluster'],
  ['src/actions'],
  ['src/alerts'],
  ['src/auth', 'src/streams'],
  ['src/hub', 'src/data'],
  ['src/relay', 'src/db'],
  ['src/ops'],
  ['src/chunks'],
  ['src/protocol', 'src/errors.ts', 'src/config.ts'],
  ['src/lib'],
];

/** What stands beside the hub and shares a part of it. */
const outsiders: Record<string, readonly string[]> = { agent: ['src/protocol', 'src/lib'], web: ['src/protocol'] };

/** The programs in front of people; they may write to the terminal, the page to the browser's console. */
const terminal = [
  'web/src/',
  'src/main.ts',
  'src/start.ts',
  'src/clusterMain.ts',
  'src/migrateMain.ts',
  'src/local/',
  'src/conformance/main.ts',
  'agent/main.ts',
  'web/dev.ts',
];
/** The agent's entry hands the environment to its config. */
const environment = ['src/config.ts', 'agent/config.ts', 'agent/main.ts'];
const maxLines = 300;

/** Imports that point upwards, sideways, or out of the agent's and the page's share. */
export function wrongArrows(sources: readonly Source[]): string[] {
  return sources.flatMap((source) =>
    importsOf(source)
      .filter((target) => /^(src|agent|web|test|bench)\//.test(target) && !mayImport(source.path, target))
      .map((target) => `${source.path} must not import ${target}`),
  );
}

function mayImport(from: string, to: string): boolean {
  const outsider = outsiders[from.split('/')[0] ?? ''];
  if (outsider !== undefined) return sameRoot(from, to) || outsider.some((folder) => isIn(to, folder));
  if (!from.startsWith('src/')) return true;
  const fromLayer = layerOf(from);
  const toLayer = layerOf(to);
  if (fromLayer === undefined || toLayer === undefined) return false;
  return fromLayer.unit === toLayer.unit || fromLayer.height < toLayer.height || bothTop(fromLayer, toLayer, to);
}

/** Entry points may use their shared helpers, never each other. */
function bothTop(from: Place, to: Place, target: string): boolean {
  return from.height === 0 && to.height === 0 && ['src/local', 'src/run.ts', 'src/stop.ts'].some((unit) => isIn(target, unit));
}

interface Place {
  height: number;
  unit: string;
}

function layerOf(path: string): Place | undefined {
  for (const [height, units] of layers.entries()) {
    const unit = units.find((name) => isIn(path, name));
    if (unit !== undefined) return { height, unit };
  }
  return undefined;
}

function isIn(path: string, unit: string): boolean {
  return path === unit || path.startsWith(`${unit}/`);
}

function sameRoot(a: string, b: string): boolean {
  return a.split('/')[0] === b.split('/')[0];
}

/** Files of `src` that stand in no layer, so that a new folder needs a place first. */
export function unplaced(sources: readonly Source[]): string[] {
  return sources
    .filter(({ path }) => path.startsWith('src/') && layerOf(path) === undefined)
    .map(({ path }) => `${path} stands in no layer`);
}

/** Each circle of imports, as `a → b → a`. Types may name each other within a folder: they are gone at run time. */
export function circles(sources: readonly Source[]): string[] {
  const imports = new Map(sources.map((source) => [source.path, importsOf(source, 'values')]));
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    const at = trail.indexOf(path);
    if (at >= 0) found.push([...trail.slice(at), path].join(' → '));
    if (at >= 0 || done.has(path)) return;
    for (const target of imports.get(path) ?? []) if (imports.has(target)) visit(target, [...trail, path]);
    done.add(path);
  };
  for (const path of imports.keys()) visit(path, []);
  return found;
}

export function tooLong(sources: readonly Source[]): string[] {
  return sources
    .map(({ path, text }) => ({ path, lines: text.trimEnd().split('\n').length }))
    .filter(({ lines }) => lines > maxLines)
    .map(({ path, lines }) => `${path} has ${lines} lines, more than ${maxLines}`);
}

/** Forbidden words of the product's code, each with the places where it is right. */
export function wrongWords(sources: readonly Source[]): string[] {
  const rules = [
    { word: /\bprocess\.env\b/, allowed: environment, says: 'reads the environment: only config.ts may' },
    { word: /\bconsole\.\w+\(/, allowed: terminal, says: 'writes to the console: use the log' },
    { word: /^\s*export\s+(let|var)\b/m, allowed: [], says: 'exports mutable state' },
    {
      word: /^\s*(?:export\s+)?(?:const\s+)?(?:enum|namespace)\s+\w+\s*\{/m,
      allowed: [],
      says: 'uses syntax that type stripping cannot erase',
    },
  ];
  return sources
    .filter(({ path }) => /^(src|agent|web\/src)\//.test(path))
    .flatMap(({ path, text }) =>
      rules
        .filter(({ word, allowed }) => !allowed.some((place) => path.startsWith(place)) && word.test(codeOf(text)))
        .map(({ says }) => `${path} ${says}`),
    );
}

/** Every source of the product says somewhere what it is for; most do in the first line. */
export function unnamed(sources: readonly Source[]): string[] {
  return sources
    .filter(({ path, text }) => /^(src|agent)\//.test(path) && !text.includes('/**'))
    .map(({ path }) => `${path} does not say what it is for`);
}
