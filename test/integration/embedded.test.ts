import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { startEmbedded } from '../../src/db/embedded.ts';
import { DatabaseFault } from '../../src/db/fault.ts';
import { findPostmaster } from '../../src/db/postmaster.ts';
import { log, makeFolder, start, run, startHub, isGone } from '../support/embedded.ts';
import { until } from '../support/until.ts';

describe('a data folder', () => {
  test('is made at the first start, and keeps its data over a restart', async () => {
    const folder = makeFolder();
    const first = await start(join(folder, 'new/data'));
    expect(first.attached).toBe(false);
    await run(first, 'create table kept as select 42 as answer');
    await first.close();
    const second = await start(join(folder, 'new/data'));
    expect(await run(second, 'select answer from kept')).toEqual([{ answer: 42 }]);
    const [settings] = await run<Record<string, string>[]>(
      second,
      `select current_setting('fsync') as fsync, current_setting('synchronous_commit') as commit, current_setting('data_checksums') as checksums,
        current_setting('listen_addresses') as listen, current_setting('server_encoding') as encoding, lower('ÄÖ') as lower`,
    );
    expect(settings).toEqual({ fsync: 'on', commit: 'on', checksums: 'on', listen: '', encoding: 'UTF8', lower: 'äö' });
  });

  test('shows its password to nobody else', async () => {
    const folder = makeFolder();
    const embedded = await start(folder);
    const password = readFileSync(join(folder, 'postgres/password'), 'utf8');
    expect(password.length).toBeGreaterThan(20);
    expect(statSync(join(folder, 'postgres/password')).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder, 'postgres/cluster')).mode & 0o777).toBe(0o700);
    expect(statSync(join(folder, 'postgres/run')).mode & 0o777).toBe(0o700);
    expect(readFileSync(`/proc/${embedded.pid()}/cmdline`, 'utf8')).not.toContain(password);
    expect(readFileSync(`/proc/${embedded.pid()}/environ`, 'utf8')).not.toContain(password);
    await expect(run({ url: embedded.url.replace(password, 'wrong') }, 'select 1')).rejects.toThrow(/refuses the user/);
  });

  test('whose path is too long for a socket has it elsewhere', async () => {
    const folder = join(makeFolder(), 'long'.repeat(20), 'long'.repeat(20));
    mkdirSync(folder, { recursive: true });
    const embedded = await start(join(folder, 'data'));
    expect(await run(embedded, 'select 1 as one')).toEqual([{ one: 1 }]);
    const { socketFolder } = findPostmaster(join(folder, 'data/postgres/cluster'))!;
    expect(Buffer.byteLength(socketFolder)).toBeLessThan(88);
    await embedded.close();
    expect(existsSync(socketFolder)).toBe(false);
  });

  test('is used by one hub at a time', async () => {
    const folder = makeFolder();
    const hubs = [startHub(folder), startHub(folder)];
    const told = await Promise.all(hubs.map((hub) => hub.told));
    const winner = told.findIndex((each) => each.fault === undefined);
    const { fault } = told[1 - winner]!;
    expect(winner).not.toBe(-1);
    expect(fault).toMatch(/already in use by pid (\d+|unknown)\. Stop that hostroom first/);
    expect(await hubs[1 - winner]!.ended).toBe(1);
    expect(await run(told[winner]!, 'select 1 as one')).toEqual([{ one: 1 }]);
    // And within one process.
    await expect(startEmbedded({ dataDir: folder, log })).rejects.toThrow(new RegExp(`already in use by pid ${hubs[winner]!.child.pid}`));
    hubs[winner]!.child.kill('SIGTERM');
    expect(await hubs[winner]!.ended).toBe(0);
    await until(() => isGone(told[winner]!.pid), 'the server is gone');
  });

  test('of a newer or an older PostgreSQL, or half a one, says what to do', async () => {
    const folder = makeFolder();
    await (await start(folder)).close();
    const version = join(folder, 'postgres/cluster/PG_VERSION');
    writeFileSync(version, '99\n');
    await expect(startEmbedded({ dataDir: folder, log })).rejects.toThrow(
      /made by PostgreSQL 99, this hostroom brings PostgreSQL 18\. Start the newer hostroom/,
    );
    writeFileSync(version, '17\n');
    await expect(startEmbedded({ dataDir: folder, log })).rejects.toThrow(/made by PostgreSQL 17.*pg_dump.*pg_restore/s);
    rmSync(version);
    await expect(startEmbedded({ dataDir: folder, log })).rejects.toThrow(/not a whole PostgreSQL database/);
    writeFileSync(version, '18\n');
    rmSync(join(folder, 'postgres/password'));
    await expect(startEmbedded({ dataDir: folder, log })).rejects.toThrow(/password is missing/);
  });

  test('that cannot be made says so', async () => {
    const folder = makeFolder();
    writeFileSync(join(folder, 'file'), '');
    const error: unknown = await startEmbedded({ dataDir: join(folder, 'file/data'), log }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(DatabaseFault);
    expect((error as Error).message).toMatch(/cannot be made.*Set DATA_DIR/);
  });

  test('left half made by a killed first start is made anew', async () => {
    const folder = makeFolder();
    mkdirSync(join(folder, 'postgres/cluster.new/base'), { recursive: true });
    writeFileSync(join(folder, 'postgres/cluster.new/PG_VERSION'), '18\n');
    writeFileSync(join(folder, 'postgres/password'), 'of the broken one');
    chmodSync(join(folder, 'postgres'), 0o711);
    const embedded = await start(folder);
    expect(await run(embedded, 'select 1 as one')).toEqual([{ one: 1 }]);
    expect(readdirSync(join(folder, 'postgres')).sort()).toEqual(['cluster', 'password', 'run', 'server.log']);
  });
});
