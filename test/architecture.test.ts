/** Holds the tree to its layers: arrows point down, nothing runs in circles, files stay short. */

import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { circles, tooLong, unnamed, unplaced, wrongArrows, wrongWords } from './support/architecture.ts';
import { importsOf, readSources } from './support/sources.ts';

const root = resolve(import.meta.dirname, '..');
const sources = readSources(root, ['src', 'agent', 'web', 'test', 'bench']);

describe('the tree', () => {
  test('is read', () => expect(sources.length).toBeGreaterThan(10));
  test('has a layer for every file of src', () => expect(unplaced(sources)).toEqual([]));
  test('imports only downwards', () => expect(wrongArrows(sources)).toEqual([]));
  test('has no circle', () => expect(circles(sources)).toEqual([]));
  test('has no long file', () => expect(tooLong(sources)).toEqual([]));
  test('keeps the environment, the console and mutable state where they belong', () => expect(wrongWords(sources)).toEqual([]));
  test('says of each file what it is for', () => expect(unnamed(sources)).toEqual([]));
});

describe('the rules can fail', () => {
  const file = (path: string, text: string) => ({ path, text });

  test.each([
    ['src/hub/hub.ts', `import { open } from '../db/database.ts';`, true],
    ['src/db/database.ts', `import type { Hub } from '../hub/hub.ts';`, false],
    ['src/hub/hub.ts', `import type { Sql } from '../data/samples.ts';`, false],
    ['src/hub/hub.ts', `import {\n  a,\n  b,\n} from './client.ts';`, true],
    ['src/api/hosts.ts', `export * from '../gateway/gateway.ts';`, false],
    ['src/actions/a.ts', `const later = await import('../api/api.ts');`, false],
    ['src/lib/ring.ts', `import '../protocol/codes.ts';`, false],
    ['src/protocol/frames.ts', `import { parse } from '../lib/json.ts';`, true],
    ['src/main.ts', `import { startApp } from './app.ts';`, true],
    ['src/start.ts', `import { build } from './local/webBuild.ts';`, true],
    ['src/start.ts', `import { main } from './main.ts';`, false],
    ['src/app.ts', `import { x } from './main.ts';`, false],
    ['src/app.ts', `import { x } from '../agent/link.ts';`, false],
    ['src/app.ts', `import { x } from '../test/support/until.ts';`, false],
    ['src/hub/hub.ts', `// import { open } from '../app.ts';`, true],
    ['agent/link.ts', `import { backoff } from '../src/lib/backoff.ts';`, true],
    ['agent/link.ts', `import { faults } from '../src/errors.ts';`, false],
    ['web/src/live/room.ts', `import { metrics } from '../../../src/protocol/metrics.ts';`, true],
    ['web/src/live/room.ts', `import { backoff } from '../../../src/lib/backoff.ts';`, false],
    ['test/unit/a.test.ts', `import { startApp } from '../../src/app.ts';`, true],
  ])('%s with %j: allowed %s', (path, text, allowed) => expect(wrongArrows([file(path, text)]).length).toBe(allowed ? 0 : 1));

  test('a new folder without a layer', () => expect(unplaced([file('src/utils/x.ts', '')])).toEqual(['src/utils/x.ts stands in no layer']));

  test('a circle of three', () =>
    expect(
      circles([
        file('src/hub/a.ts', `import './b.ts';`),
        file('src/hub/b.ts', `import {\n  type C,\n  c,\n} from './c.ts';`),
        file('src/hub/c.ts', `import { a } from './a.ts';`),
      ]),
    ).toEqual(['src/hub/a.ts → src/hub/b.ts → src/hub/c.ts → src/hub/a.ts']));

  test('types of one folder may name each other', () =>
    expect(
      circles([
        file('src/hub/a.ts', `import { b } from './b.ts';`),
        file('src/hub/b.ts', `import type {\n  A,\n} from './a.ts';\nexport type { A } from './a.ts';`),
      ]),
    ).toEqual([]));

  test('two ways to the same file are no circle', () =>
    expect(
      circles([
        file('src/hub/a.ts', `import './b.ts';\nimport './c.ts';`),
        file('src/hub/b.ts', `import './c.ts';`),
        file('src/hub/c.ts', ''),
      ]),
    ).toEqual([]));

  test('a file of 301 lines', () => {
    expect(tooLong([file('src/hub/a.ts', 'x\n'.repeat(301))])).toHaveLength(1);
    expect(tooLong([file('src/hub/a.ts', 'x\n'.repeat(300))])).toHaveLength(0);
  });

  test.each([
    ['src/hub/a.ts', 'const home = process.env.HOME;', 1],
    ['src/config.ts', 'const home = process.env.HOME;', 0],
    ['agent/link.ts', 'const home = process.env.HOME;', 1],
    ['src/hub/a.ts', `console.log('x');`, 1],
    ['src/start.ts', `console.log('x');`, 0],
    ['src/hub/a.ts', ' * console.log(x) is not for us', 0],
    ['src/hub/a.ts', 'export let count = 0;', 1],
    ['src/hub/a.ts', 'export enum Kind { a }', 1],
  ])('%s with %j: %i complaints', (path, text, count) => expect(wrongWords([file(path, text)])).toHaveLength(count));

  test('a file without a purpose', () => expect(unnamed([file('src/hub/a.ts', 'export const a = 1;')])).toHaveLength(1));

  test('packages keep their names', () => expect(importsOf(file('src/a.ts', `import fastify from 'fastify';`))).toEqual(['fastify']));
});
