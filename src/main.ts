/** `npm run hub`: the hub alone. `--sign-in-link` only makes a one-time link for the admin, `--check` only looks at what it stands on. */

import { parseArgs } from 'node:util';
import process from 'node:process';
import { makeSignInLink } from './actions/signInLink.ts';
import { DatabaseFault } from './db/database.ts';
import { runningEmbedded } from './db/embedded.ts';
import { AppError } from './errors.ts';
import { Closers } from './lib/closers.ts';
import { createLog } from './ops/log.ts';
import { preflight } from './preflight.ts';
import { configure, orExplain, orUsage, startHub, stopOptions } from './run.ts';
import { stopOnSignal } from './stop.ts';
import { openStorage } from './storage.ts';

const { values } = orUsage('npm run hub [-- --sign-in-link | --check]', () =>
  parseArgs({ options: { 'sign-in-link': { type: 'boolean', default: false }, check: { type: 'boolean', default: false } } }),
);
const { config, log } = await configure();
if (values.check) await printFindings();
else if (values['sign-in-link']) await printLink();
else await run();

async function run(): Promise<void> {
  const starting = orExplain(config, () => startHub(config, log));
  stopOnSignal(starting, stopOptions(config, log));
  const app = await starting;
  // One of several replicas: whoever started them all makes one link.
  if (process.connected) return;
  try {
    const link = await app.signInLink();
    if (link !== undefined) process.stdout.write(`Sign in once within 24 hours: ${link}\n`);
  } catch (error) {
    // The hub runs, and outlives a database that is away just now.
    log.warn({ err: error }, 'no sign-in link could be made; --sign-in-link makes one later');
  }
}

/** Exit code 1 where something would keep the hub from its promises. */
async function printFindings(): Promise<void> {
  const findings = await preflight(config);
  for (const { level, what, text } of findings) process.stdout.write(`${level.padEnd(4)}  ${what}: ${text}\n`);
  process.exitCode = findings.some(({ level }) => level === 'fail') ? 1 : 0;
}

async function printLink(): Promise<void> {
  const quiet = createLog('warn');
  const closers = new Closers();
  // A hub that runs has the embedded database open already.
  const databaseUrl = config.databaseUrl ?? runningEmbedded(config.dataDir);
  try {
    const { database } = await openStorage({ ...config, databaseUrl }, quiet, closers);
    process.stdout.write(`${await makeSignInLink(database.sql, config.publicUrl)}\n`);
  } catch (error) {
    if (!(error instanceof DatabaseFault) && !(error instanceof AppError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  } finally {
    await closers.close((error, what) => quiet.error({ err: error, what }, 'could not be closed'));
  }
}
