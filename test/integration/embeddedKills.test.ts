import { spawn } from 'node:child_process';
import { chownSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { isAway, openDatabase } from '../../src/db/database.ts';
import { isPostmaster } from '../../src/db/postmaster.ts';
import { log, makeFolder, start, run, startHub, isGone } from '../support/embedded.ts';
import { until } from '../support/until.ts';

describe('after a kill', () => {
  test('of the hub, the server runs on, and the next hub takes it over with its data', async () => {
    const folder = makeFolder();
    const hub = startHub(folder);
    const told = await hub.told;
    await run(told, 'create table kept as select 1 as n');
    // The whole group, as a closed terminal would.
    process.kill(-hub.child.pid!, 'SIGKILL');
    await hub.ended;
    expect(isPostmaster(told.pid, join(folder, 'postgres/cluster'))).toBe(true);
    const next = await start(folder);
    expect(next.attached).toBe(true);
    expect(next.pid()).toBe(told.pid);
    expect(await run(next, 'select n from kept')).toEqual([{ n: 1 }]);
    await next.close();
    await until(() => isGone(told.pid), 'the server is gone');
  });

  test('of a server that was taken over, too, it is started again', async () => {
    const folder = makeFolder();
    const hub = startHub(folder);
    const told = await hub.told;
    hub.child.kill('SIGKILL');
    await hub.ended;
    const next = await start(folder);
    process.kill(next.pid(), 'SIGKILL');
    await until(() => next.pid() !== told.pid, 'another server');
    expect(await run(next, 'select 1 as one')).toEqual([{ one: 1 }]);
  });

  test('of the server, it is started again, and all that was committed is there', async () => {
    const embedded = await start(makeFolder());
    const database = await openDatabase({ url: embedded.url, log, maxConnections: 2 });
    await database.sql`create table kept (n integer)`;
    await database.sql`insert into kept select generate_series(1, 1000)`;
    for (let round = 0; round < 3; round++) {
      const before = embedded.pid();
      process.kill(before, 'SIGKILL');
      await until(() => embedded.pid() !== before, 'another server');
      await until(() => database.sql`select 1`.then(Boolean, () => false), 'the pool is back');
    }
    expect(await database.sql`select count(*)::int as rows from kept`).toEqual([{ rows: 1000 }]);
    await database.close();
  });

  test('of both, the next start recovers', async () => {
    const folder = makeFolder();
    const hub = startHub(folder);
    const told = await hub.told;
    await run(told, 'create table kept as select 1 as n');
    // The hub first, so that it does not start the server again.
    hub.child.kill('SIGKILL');
    process.kill(told.pid, 'SIGKILL');
    await hub.ended;
    const next = await start(folder);
    expect(next.attached).toBe(false);
    expect(await run(next, 'select n from kept')).toEqual([{ n: 1 }]);
  });

  test('a pid file that names a stranger, a zombie or nobody does not hold up the start', async () => {
    const folder = makeFolder();
    await (await start(folder)).close();
    const pidFile = join(folder, 'postgres/cluster/postmaster.pid');
    const owner = statSync(join(folder, 'postgres/cluster'));
    // A zombie: the shell never waits for its child.
    const parent = spawn('/bin/sh', ['-c', 'sleep 0 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'ignore'] });
    onTestFinished(() => void parent.kill('SIGKILL'));
    const zombie = Number(await new Promise<string>((done) => parent.stdout.setEncoding('utf8').once('data', done)));
    await until(() => / Z /.test(readFileSync(`/proc/${zombie}/stat`, 'utf8')), 'a zombie');
    for (const pid of [process.pid, zombie, 4_194_303]) {
      writeFileSync(pidFile, `${pid}\n${folder}/postgres/cluster\n1\n5432\n${folder}/postgres/run\n\n  1234567  1\nready   \n`, {
        mode: 0o600,
      });
      chownSync(pidFile, owner.uid, owner.gid);
      const embedded = await start(folder);
      expect(embedded.attached).toBe(false);
      expect(await run(embedded, 'select 1 as one')).toEqual([{ one: 1 }]);
      await embedded.close();
    }
  });

  test('a server that is frozen is given up, and used again when it goes on', async () => {
    const embedded = await start(makeFolder());
    // Any statement has 0.2 s, and the connection 10 s more.
    const database = await openDatabase({ url: embedded.url, log, maxConnections: 1, statementTimeoutMs: 200 });
    await database.sql`select 1`;
    const [row] = await database.sql<[{ pid: number }]>`select pg_backend_pid() as pid`;
    process.kill(row.pid, 'SIGSTOP');
    const lost: unknown = await database.sql`select 2`.catch((error: unknown) => error);
    process.kill(row.pid, 'SIGCONT');
    expect(isAway(lost)).toBe(true);
    expect(await database.sql`select 3 as three`).toEqual([{ three: 3 }]);
    await database.close();
  });

  test('Ctrl-C on the group leaves the server to the hub, which stops it last', async () => {
    const hub = startHub(makeFolder());
    const told = await hub.told;
    process.kill(-hub.child.pid!, 'SIGINT');
    expect(await hub.ended).toBe(0);
    await until(() => isGone(told.pid), 'the server is gone');
    // The starter writes a row after the signal; had the server got it as well, that had failed, and the exit code with it.
  });
});
