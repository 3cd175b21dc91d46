import { type ChildProcess, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
  chmodSync,
  chownSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pino } from 'pino';
import { afterEach, describe, expect, onTestFinished, test } from 'vitest';
import { isAway, openDatabase } from '../../src/db/database.ts';
import { type Embedded, type EmbeddedOptions, startEmbedded } from '../../src/db/embedded.ts';
import { DatabaseFault } from '../../src/db/fault.ts';
import { findPostmaster, isPostmaster } from '../../src/db/postmaster.ts';
import { needs } from '../support/needs.ts';
import { until } from '../support/until.ts';

const log = pino({ level: 'silent' });
const starter = resolve(import.meta.dirname, '../support/embeddedHub.ts');

/** A folder for one test, removed with everything in it. */
function makeFolder(name = 'hostroom embedded-'): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), name)));
  // mkdtemp's 0700 would be closed to PostgreSQL's user.
  chmodSync(folder, 0o755);
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const running = new Set<Embedded>();
afterEach(async () => {
  await Promise.all([...running].map((each) => each.close()));
  running.clear();
});

async function start(dataDir: string, more: Partial<EmbeddedOptions> = {}): Promise<Embedded> {
  const embedded = await startEmbedded({ dataDir, log, outside: join(dataDir, 'outside'), ...more });
  running.add(embedded);
  return embedded;
}

async function run<T = unknown>(embedded: { url: string }, statement: string): Promise<T> {
  const database = await openDatabase({ url: embedded.url, log, maxConnections: 1 });
  try {
    return (await database.sql.unsafe(statement)) as unknown as T;
  } finally {
    await database.close();
  }
}

interface Hub {
  child: ChildProcess;
  /** What it printed: `{url, pid, attached}`, or `{fault}`. */
  told: Promise<{ url: string; pid: number; attached: boolean; fault?: string }>;
  ended: Promise<number | null>;
}

/** A process that starts the embedded database as a hub does, in its own process group, so that it can be killed. */
function startHub(dataDir: string, options: { uid?: number; gid?: number } = {}): Hub {
  const child = spawn(process.execPath, [starter, dataDir], { stdio: ['ignore', 'pipe', 'inherit'], detached: true, cwd: '/', ...options });
  let text = '';
  const told = new Promise<never>((done, fail) => {
    child.once('error', fail);
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      text += part;
      if (text.includes('\n')) done(JSON.parse(text.slice(0, text.indexOf('\n'))) as never);
    });
    child.once('exit', (code) => fail(new Error(`the hub ended with ${code} before it told anything`)));
  });
  const ended = new Promise<number | null>((done) => child.once('exit', done));
  onTestFinished(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
    await ended;
  });
  return { child, told, ended };
}

const isGone = (pid: number): boolean => !existsSync(`/proc/${pid}`) || /\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));

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
    expect(isGone(told[winner]!.pid)).toBe(true);
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
    expect(isGone(told.pid)).toBe(true);
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
    expect(isGone(told.pid)).toBe(true);
    // The starter writes a row after the signal; had the server got it as well, that had failed, and the exit code with it.
  });
});

needs('root').describe('as root', () => {
  test('the server runs as another user', async () => {
    const embedded = await start(makeFolder());
    expect(statSync(`/proc/${embedded.pid()}`).uid).not.toBe(0);
  });

  test('below a folder that this user cannot enter, the database lives elsewhere, and is found again', async () => {
    const folder = makeFolder();
    chmodSync(folder, 0o700);
    const outside = makeFolder();
    chmodSync(outside, 0o755);
    const dataDir = join(folder, 'data');
    const first = await start(dataDir, { outside });
    await run(first, 'create table kept as select 1 as n');
    const record = JSON.parse(readFileSync(join(dataDir, 'postgres.json'), 'utf8')) as { home: string };
    expect(record.home.startsWith(outside)).toBe(true);
    await first.close();
    const second = await start(dataDir, { outside });
    expect(await run(second, 'select n from kept')).toEqual([{ n: 1 }]);
    await second.close();
    expect(readdirSync(outside).filter((name) => !name.startsWith('hub.'))).toHaveLength(1);
    rmSync(record.home, { recursive: true });
    await expect(startEmbedded({ dataDir, log, outside })).rejects.toThrow(/it is not there\. Bring it back from a backup/);
  });

  test('programs that this user cannot reach are copied', async () => {
    const folder = makeFolder();
    const hidden = makeFolder();
    chmodSync(hidden, 0o700);
    const { cpSync } = await import('node:fs');
    const { findBinaries } = await import('../../src/db/embeddedBinaries.ts');
    cpSync(join(findBinaries(), '..'), join(hidden, 'package'), { recursive: true, verbatimSymlinks: true });
    // As npm leaves them where install scripts are off.
    for (const name of readdirSync(join(hidden, 'package/native/lib'))) {
      if (/^lib(pq|icu\w+)\.so(\.\d+)?$/.test(name)) rmSync(join(hidden, 'package/native/lib', name));
    }
    const embedded = await start(folder, { binaries: join(hidden, 'package/native') });
    expect(readFileSync(`/proc/${embedded.pid()}/cmdline`, 'utf8')).toContain(join(folder, 'postgres/binaries-'));
  });

  test('a full disk says so at the first start', async () => {
    const folder = makeFolder();
    const { spawnSync } = await import('node:child_process');
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=20m', 'tmpfs', folder]);
    if (mounted.status !== 0) return;
    onTestFinished(() => void spawnSync('umount', ['-l', folder]));
    chmodSync(folder, 0o755);
    await expect(startEmbedded({ dataDir: folder, log })).rejects.toThrow(/disk of .* is full .*Free some space/);
  });
});

const ordinary = { uid: 65534, gid: 65534 };
needs('root').describe('as an ordinary user', () => {
  test('everything belongs to that user, and root takes the folder over later', async () => {
    const folder = makeFolder();
    chownSync(folder, ordinary.uid, ordinary.gid);
    const hub = startHub(join(folder, 'data'), ordinary);
    const told = await hub.told;
    expect(told.fault).toBeUndefined();
    expect(statSync(`/proc/${told.pid}`).uid).toBe(ordinary.uid);
    expect(statSync(join(folder, 'data/postgres/cluster')).uid).toBe(ordinary.uid);
    hub.child.kill('SIGTERM');
    expect(await hub.ended).toBe(0);
    const asRoot = await start(join(folder, 'data'));
    expect(statSync(`/proc/${asRoot.pid()}`).uid).toBe(ordinary.uid);
    await asRoot.close();
    const again = startHub(join(folder, 'data'), ordinary);
    expect((await again.told).fault).toBeUndefined();
  });

  test("another user's folder says whose it is", async () => {
    const folder = makeFolder();
    await (await start(join(folder, 'data'))).close();
    const hub = startHub(join(folder, 'data'), ordinary);
    expect((await hub.told).fault).toMatch(/cannot be used|belongs to the user/);
    expect(await hub.ended).toBe(1);
  });
});
