/** `npm run hub -- --check`: says of each part whether it is fit, with an exit code for a rollout to stand on. */

import { expect, onTestFinished, test } from 'vitest';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { readConfig } from '../../src/config.ts';
import { preflight } from '../../src/preflight.ts';
import { freshDatabase } from '../support/database.ts';
import { makeOwnPostgres } from '../support/faults/ownPostgres.ts';
import { makeRunFolder, run } from '../support/hostroom.ts';
import { needs } from '../support/needs.ts';
import { startRedis } from '../support/redis.ts';

const secret = Buffer.alloc(32, 7).toString('base64');

/** What is found, as `level what`, and the whole text. */
async function look(environment: Record<string, string>): Promise<{ lines: string[]; text: string }> {
  const findings = await preflight(readConfig({ SECRET_KEY: secret, ...environment }), 500);
  return { lines: findings.map(({ level, what }) => `${level} ${what}`), text: JSON.stringify(findings) };
}

needs('linux', 'redis').test('a hub on a durable PostgreSQL with a Redis that asks for a password is fit', async () => {
  const folder = makeRunFolder(onTestFinished);
  const postgres = await makeOwnPostgres(join(folder, 'pg'), { max_connections: '100' });
  onTestFinished(() => postgres.close());
  await postgres.start();
  const redis = await startRedis(onTestFinished);
  await redis.call('config', 'set', 'requirepass', 'pw');
  const environment = {
    DATABASE_URL: postgres.url,
    REDIS_URL: redis.url.replace('://', '://:pw@'),
    SECRET_KEY: secret,
    SHUTDOWN_GRACE: '115s',
    PUBLIC_URL: 'https://hub.example.com',
  };
  const checked = await run(join(folder, 'data'), { args: ['--check'], environment });
  expect(await checked.ended, checked.output()).toMatchObject({ code: 0 });
  const said = checked.output();
  for (const line of [
    /^ok {4}configuration: is valid$/m,
    /^ok {4}database: PostgreSQL 18, writable, UTF-8$/m,
    /^ok {4}durability: fsync, full_page_writes and synchronous_commit are on$/m,
    /^ok {4}connections: 97 connections are for everyone, each replica opens up to 10: enough for 7 replicas$/m,
    /^ok {4}clock: /m,
    /^ok {4}schema: will be brought up to date/m,
    /^ok {4}redis: Redis \d+\.\d+\.\d+, standalone/m,
    /^ok {4}stop: 10 s until balancers know, 90 s to move clients, 15 s to commit; who stops the process must leave it more than 115 s/m,
  ])
    expect(said).toMatch(line);
  // A superuser's role is not what should be used, and is said so.
  expect(said).toMatch(/^warn {2}rights: /m);
  expect(said).not.toMatch(/^fail/m);
});

needs('linux').test('settings under which an acknowledgement would be no promise fail the check', async () => {
  const folder = makeRunFolder(onTestFinished);
  const postgres = await makeOwnPostgres(join(folder, 'pg'), {
    fsync: 'off',
    full_page_writes: 'off',
    synchronous_commit: 'off',
    max_connections: '12',
  });
  onTestFinished(() => postgres.close());
  await postgres.start();
  const environment = { DATABASE_URL: postgres.url, SECRET_KEY: secret };
  const checked = await run(join(folder, 'data'), { args: ['--check'], environment });
  expect(await checked.ended, checked.output()).toMatchObject({ code: 1 });
  for (const what of ['fsync is off', 'full_page_writes is off', 'synchronous_commit is off', 'enough for 0 replicas'])
    expect(checked.output()).toMatch(new RegExp(`^fail .*${what}`, 'm'));
});

test('a schema that a Job has to make first is a warning where hubs only wait, and the check makes nothing', async () => {
  const database = await freshDatabase(onTestFinished, { migrated: false });
  const { lines } = await look({ DATABASE_URL: database.url, MIGRATE: 'off' });
  expect(lines).toContain('warn schema');
  expect(await database.sql`select 1 from pg_tables where schemaname = 'public'`).toHaveLength(0);
});

test('what does not answer fails, with the reason, and no password is told', async () => {
  // Takes connections and says nothing.
  const mute = createServer(() => undefined).listen(0, '127.0.0.1');
  onTestFinished(() => void mute.close());
  const database = await freshDatabase(onTestFinished);
  const { port } = mute.address() as AddressInfo;
  const { lines, text } = await look({ DATABASE_URL: database.url, REDIS_URL: `redis://:hidden@127.0.0.1:${port}` });
  expect(lines).toContain('fail redis');
  expect(text).not.toContain('hidden');
  const nowhere = await look({
    DATABASE_URL: 'postgres://x:hidden@127.0.0.1:1/none',
    REDIS_URL: 'redis://127.0.0.1:1',
    SHUTDOWN_GRACE: '10s',
  });
  expect(nowhere.lines).toContain('fail database');
  // A grace that is too short for several replicas.
  expect(nowhere.lines).toContain('warn stop');
  expect(nowhere.text).toContain('ECONNREFUSED');
  expect(nowhere.text).not.toContain('hidden');
});
