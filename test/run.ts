/** `npm test`: gets what the tests need, runs them on embedded PostgreSQL and on an installed one, and ends with one line of counts. */

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { buildStaleWeb } from '../src/local/webBuild.ts';
import { installTools } from './support/install.ts';
import { startPostgresServer } from './support/postgresServer.ts';
import { addResults, readResults, type Results } from './support/results.ts';
import { importsOf, reachableFrom, readSources } from './support/sources.ts';
import { type ToolName, tools } from './support/tools.ts';

const root = resolve(import.meta.dirname, '..');
const reports = join(root, '.cache', 'test');
const wanted: readonly ToolName[] = [
  'chromium',
  'postgresql',
  'pgDump',
  'redis',
  'openssl',
  'nginx',
  'ip',
  'nft',
  'faketime',
  'vmstat',
  'ps',
  'promtool',
  'prometheus',
  'kubectl',
];

/** One Vitest run over the files that match `filters`; all files without any. */
async function runTests(title: string, filters: readonly string[], environment: Record<string, string | undefined>): Promise<Results> {
  console.log(`\n── ${title} ──`);
  const report = join(reports, `${title.replace(/\W+/g, '-')}.json`);
  rmSync(report, { force: true });
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
  const args = [vitest, 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...filters];
  const child = spawn(process.execPath, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...environment } });
  const watch = endAfter(report, child);
  const code = await new Promise<number>((done, fail) => {
    child.once('error', fail);
    child.once('exit', (exitCode) => done(exitCode ?? 1));
  });
  clearInterval(watch);
  return readResults(report, code);
}

/** Ends a run that has written its report and does not end by itself: something was left open, which is a failure, not a reason to wait. */
function endAfter(report: string, child: ChildProcess): NodeJS.Timeout {
  let patience = 60;
  return setInterval(() => {
    if (!existsSync(report) || --patience > 0) return;
    if (patience === 0) console.error('The tests are done, but their process does not end: something they started is still open.');
    child.kill(patience > -20 ? 'SIGTERM' : 'SIGKILL');
  }, 1_000);
}

/** The test files that reach the database, by their imports; without those of pages and programs, which ask the same of any server. */
function databaseSuites(): string[] {
  const imports = new Map(readSources(root, ['src', 'agent', 'web', 'test', 'bench']).map((source) => [source.path, importsOf(source)]));
  return [...imports.keys()].filter(
    (path) => path.endsWith('.test.ts') && !path.startsWith('test/e2e/') && reachableFrom(path, imports).has('test/support/database.ts'),
  );
}

async function runOnServer(filters: readonly string[]): Promise<Results> {
  const chosen = databaseSuites().filter((path) => filters.length === 0 || filters.some((filter) => path.includes(filter)));
  if (chosen.length === 0) return { passed: 0, failed: 0, skipped: [] };
  const given = process.env.DATABASE_URL;
  if (given !== undefined) return runTests('database suites on DATABASE_URL', chosen, {});
  const server = await startPostgresServer();
  if (server === undefined) {
    return {
      passed: 0,
      failed: 0,
      skipped: chosen.map((path) => `${path} on an installed PostgreSQL [skipped: needs postgresql: apt-get install postgresql]`),
    };
  }
  try {
    return await runTests(`database suites on PostgreSQL ${server.version}`, chosen, { DATABASE_URL: server.url });
  } finally {
    await server.close();
  }
}

const filters = process.argv.slice(2);
mkdirSync(reports, { recursive: true });
for (const name of installTools(wanted))
  console.log(`Missing: ${name}. Its tests are skipped; to get it: apt-get install ${tools[name].package}`);

// Once before all of them: else each test that starts a hub would build the page beside the others, for a minute.
await buildStaleWeb(root);
const results = addResults([
  await runTests('all tests on embedded PostgreSQL', filters, { DATABASE_URL: undefined }),
  await runOnServer(filters),
]);
const strict = process.env.CI === 'true' && results.skipped.length > 0;
for (const name of results.skipped) console.log(`skipped: ${name}`);
if (strict) console.log('CI=true: a skipped test counts as a failed run');
console.log(`${results.passed} passed, ${results.failed} failed, ${results.skipped.length} skipped`);
process.exitCode = results.failed > 0 || strict ? 1 : 0;
