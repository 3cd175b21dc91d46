/** `npm run migrate`: brings the database to this build's schema; with `-- --new-epoch`, the last step of a restore, it renews the epoch. */

import { parseArgs } from 'node:util';
import process from 'node:process';
import { Closers } from './lib/closers.ts';
import { DatabaseFault } from './db/database.ts';
import { renewEpoch } from './db/migrate.ts';
import { configure, orUsage } from './run.ts';
import { openStorage } from './storage.ts';

const { values } = orUsage('npm run migrate [-- --new-epoch]', () =>
  parseArgs({ options: { 'new-epoch': { type: 'boolean', default: false } } }),
);
const { config, log } = await configure('migrate');
const closers = new Closers();
try {
  // Whatever MIGRATE says: it is meant for the hubs that wait for this program.
  const { database } = await openStorage({ ...config, migrate: true }, log, closers);
  process.stdout.write('The schema is up to date.\n');
  if (values['new-epoch'])
    process.stdout.write(`The conversations begin a new epoch: ${await renewEpoch(database.sql)}. Restart hubs that run.\n`);
} catch (error) {
  if (!(error instanceof DatabaseFault)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
} finally {
  await closers.close((error, what) => log.error({ err: error, what }, 'could not be closed'));
}
