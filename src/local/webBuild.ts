/** Builds the web UI when it is missing or older than its sources. */

import { existsSync } from 'node:fs';
import { glob, mkdtemp, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';

const sources = [
  'web/index.html',
  'web/vite.config.ts',
  'web/public/**/*',
  'web/src/**/*',
  'src/protocol/**/*',
  'src/lib/passwordLength.ts',
  'package-lock.json',
];

async function modifiedAt(path: string): Promise<number> {
  try {
    return (await stat(path)).mtimeMs;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
    throw error;
  }
}

/** True when `web/dist` below `root` is missing or older than a file it is made from. */
export async function webIsStale(root: string): Promise<boolean> {
  const built = await modifiedAt(join(root, 'web/dist/index.html'));
  if (built === 0) return true;
  for await (const path of glob(sources, { cwd: root })) {
    if ((await modifiedAt(join(root, path))) > built) return true;
  }
  return false;
}

/** Builds it where it is stale, for a person at a terminal: says so, and ends the process with 1 when it cannot be. */
export async function buildStaleWeb(root: string): Promise<void> {
  if (!(await webIsStale(root))) return;
  process.stdout.write('Building the web UI …\n');
  await buildWeb(root).catch((error: Error) => {
    process.stderr.write(`The web UI could not be built: ${error.message}\n`);
    process.exit(1);
  });
}

/**
 * Builds `web/dist` below `root` with Vite; throws when Vite, a development dependency, is not installed. It is built aside and put
 * in place at once, so that hubs and further builds of the same checkout never meet half of it.
 */
export async function buildWeb(root: string): Promise<void> {
  const { build } = await import('vite').catch((error: Error) => {
    // It is there and does not load where npm left out a part for this platform.
    const remedy = existsSync(join(root, 'node_modules/vite'))
      ? `Vite does not load (${error.message.split('\n')[0]}). Run "npm ci" again`
      : 'Vite is not installed. Run "npm ci" without --omit=dev';
    throw new Error(`${remedy}, then start again.`, { cause: error });
  });
  const dist = join(root, 'web/dist');
  const aside = await mkdtemp(join(root, 'web/.dist-'));
  try {
    const made = join(aside, 'new');
    await build({
      root: join(root, 'web'),
      logLevel: 'error',
      configFile: join(root, 'web/vite.config.ts'),
      build: { outDir: made, emptyOutDir: true },
    });
    await rename(dist, join(aside, 'old')).catch(unless('ENOENT'));
    // Another build that was faster has made the same.
    await rename(made, dist).catch(unless('ENOTEMPTY', 'EEXIST'));
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
}

const unless =
  (...codes: string[]) =>
  (error: NodeJS.ErrnoException): void => {
    if (!codes.includes(error.code ?? '')) throw error;
  };
