/** `npm run hub`: the hub alone. With `--sign-in-link` it only makes a one-time link for the admin. */

import { parseArgs } from 'node:util';
import process from 'node:process';
import { makeSignInLink } from './actions/signInLink.ts';
import { Closers } from './lib/closers.ts';
import { configure, startOrExplain } from './run.ts';
import { stopOnSignal } from './stop.ts';
import { openStorage } from './storage.ts';

const { values } = parseArgs({ options: { 'sign-in-link': { type: 'boolean', default: false } } });
const { config, log } = await configure();

if (values['sign-in-link']) {
  const closers = new Closers();
  const { database } = await openStorage(config, log, closers);
  process.stdout.write(`${await makeSignInLink(database.sql, config.publicUrl)}\n`);
  await closers.close((error, what) => log.error({ err: error, what }, 'could not be closed'));
} else {
  const app = await startOrExplain(config, log);
  const link = await app.signInLink();
  if (link !== undefined) process.stdout.write(`Sign in once within 24 hours: ${link}\n`);
  stopOnSignal(app, config.shutdownGraceMs, (error) => log.fatal({ err: error }, 'the stop was not clean'));
}
