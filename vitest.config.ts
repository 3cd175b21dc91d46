/** How the tests run: forked processes, few at a time, one database server for all of them. */

import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { configDefaults, defineConfig } from 'vitest/config';

const long = ['kubernetesRollout', 'kubernetesLeaps', 'versions', 'frozenSealer'].map((name) => `test/faults/${name}.test.ts`);
const database = 'test/support/globalDatabase.ts';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts', 'test/**/*.test.tsx'],
    // Minutes of waiting each: `npm run faults` alone runs them.
    exclude: [...configDefaults.exclude, ...(process.env.FAULTS === 'full' ? [] : long)],
    globalSetup: existsSync(new URL(database, import.meta.url)) ? [database] : [],
    pool: 'forks',
    // One more than cores: most of the time goes into waiting for servers, deadlines and restarts.
    maxWorkers: Math.max(2, availableParallelism()) + 1,
    // Real servers on a busy machine: generous limits, so that only what truly hangs fails.
    testTimeout: 30_000,
    hookTimeout: 60_000,
    teardownTimeout: 20_000,
    // A pipeline shares its machine: what fails once and then holds is listed as flaky, what fails twice has failed.
    retry: process.env.CI === 'true' ? 1 : 0,
    chaiConfig: { truncateThreshold: 400 },
  },
});
