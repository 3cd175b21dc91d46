/** Runs the PostgreSQL that comes with hostroom, in the data folder, for hubs without a DATABASE_URL. */

import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BaseLogger } from 'pino';
import { openDatabase } from './database.ts';
import { findBinaries, prepareBinaries } from './embeddedBinaries.ts';
import { databaseName, prepareCluster, readPassword } from './embeddedCluster.ts';
import { choosePlace, makeDataFolder, makeAccountFolder, writeRecord } from './embeddedPlace.ts';
import { type Server, superviseServer, untilReady } from './embeddedServer.ts';
import { freePort } from '../lib/freePort.ts';
import { DatabaseFault } from './fault.ts';
import { lockFolder } from './folderLock.ts';
import { findPostmaster } from './postmaster.ts';

export interface EmbeddedOptions {
  dataDir: string;
  log: Pick<BaseLogger, 'debug' | 'info' | 'warn' | 'error'>;
  /** For tests: a folder with bin/ of another PostgreSQL; default: the one that npm installed. */
  binaries?: string;
  /** Settings over the defaults. */
  settings?: Readonly<Record<string, string>>;
  /** For tests: instead of /var/lib/hostroom. */
  outside?: string;
}

export interface Embedded {
  /** For openDatabase; holds the password, so it is never logged. */
  url: string;
  /** Whether the server of a hub that was killed was taken over. */
  attached: boolean;
  /** The server's process now. */
  pid(): number;
  /** Stops the server, 10 s at most until by force; to be called last of all. */
  close(): Promise<void>;
}

const socketPort = 5432;
/** sun_path has 104 bytes on macOS, with the closing zero. */
const longestSocketBytes = 102;

const defaults: Readonly<Record<string, string>> = {
  // Durable: a commit is on the disk before it is acknowledged.
  fsync: 'on',
  full_page_writes: 'on',
  synchronous_commit: 'on',
  // Small: one hub on a machine that has other things to do.
  max_connections: '50',
  shared_buffers: '48MB',
  max_wal_size: '512MB',
  max_logical_replication_workers: '0',
  max_parallel_workers_per_gather: '0',
  jit: 'off',
  // Its own log tells of starts, stops and crashes; refused statements are reported by the hub that sent them.
  log_min_messages: 'log',
  log_checkpoints: 'off',
  log_timezone: 'UTC',
  timezone: 'UTC',
};

/**
 * Locks the data folder, makes the database at the first start, starts the server or takes over the one that a killed hub left, and keeps it
 * running. Works as root (the server then runs as `postgres` or `nobody`) and as an ordinary user.
 * Throws DatabaseFault, whose message says what to do.
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  const { dataDir, log } = options;
  const started = performance.now();
  const folder = makeDataFolder(dataDir);
  const undo: (() => void | Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (let step = undo.pop(); step; step = undo.pop()) await step();
  };
  try {
    const lock = lockFolder(folder);
    undo.push(() => lock.release());
    const place = choosePlace(folder, options.outside);
    if (place.apart) {
      // A copy of the data folder leads to the same database.
      const second = lockFolder(place.home);
      undo.push(() => second.release());
    }
    const binaries = prepareBinaries(options.binaries ?? findBinaries(), place.home, place.account);
    const password = await prepareCluster(binaries, place);
    writeRecord(place);

    const runningPid = await untilReady(place.cluster, log);
    const running = runningPid === undefined ? undefined : findPostmaster(place.cluster);
    const socketFolder = running?.socketFolder || chooseSocketFolder(place.home);
    const port = process.platform === 'win32' ? (running?.port ?? (await freePort('127.0.0.1'))) : socketPort;
    const listen: Record<string, string> =
      process.platform === 'win32'
        ? { listen_addresses: '127.0.0.1', port: String(port) }
        : {
            listen_addresses: '',
            unix_socket_directories: `"${socketFolder.replaceAll('"', '""')}"`,
            unix_socket_permissions: '0700',
            port: String(port),
          };
    const settings = { ...defaults, ...(binaries.major >= 18 ? { io_method: 'sync' } : {}), ...options.settings, ...listen };
    if (socketFolder !== join(place.home, 'run')) {
      makeAccountFolder(socketFolder, place.account);
      undo.push(() => rmSync(socketFolder, { recursive: true, force: true }));
    }
    const server: Server = await superviseServer({ binaries, place, socketFolder, port, settings, log }, running?.pid);
    undo.push(() => server.close());

    const address = (database: string): string => addressOf(database, { socketFolder, port, password });
    await makeDatabase(address('postgres'));
    log.info(
      {
        pid: server.pid(),
        attached: running !== undefined,
        folder: place.home,
        user: place.account.name,
        ms: Math.round(performance.now() - started),
      },
      'embedded PostgreSQL runs',
    );
    return { url: address(databaseName), attached: running !== undefined, pid: () => server.pid(), close };
  } catch (error) {
    await close();
    const { syscall } = error as NodeJS.ErrnoException;
    if (error instanceof DatabaseFault || syscall === undefined) throw error;
    throw new DatabaseFault(
      `The embedded database in ${dataDir} cannot be started: ${(error as Error).message}. Check rights and free space of that folder, or set DATA_DIR to another one on a local disk.`,
      { cause: error },
    );
  }
}

/** The database of the server that another process supervises now, for openDatabase; undefined where none runs. */
export function runningEmbedded(dataDir: string): string | undefined {
  if (!existsSync(join(dataDir, 'hub.lock'))) return undefined;
  const { home, cluster } = choosePlace(makeDataFolder(dataDir));
  const running = findPostmaster(cluster);
  if (running?.status !== 'ready') return undefined;
  return addressOf(databaseName, { ...running, password: readPassword(home) });
}

function addressOf(database: string, at: { socketFolder: string; port: number; password: string }): string {
  const host = process.platform === 'win32' ? '127.0.0.1' : at.socketFolder;
  const query = new URLSearchParams({ host, port: String(at.port), user: databaseName, password: at.password });
  return `postgres:///${database}?${query.toString().replaceAll('+', '%20')}`;
}

async function makeDatabase(url: string): Promise<void> {
  const silent = (): void => undefined;
  const database = await openDatabase({ url, maxConnections: 1, log: { debug: silent, info: silent, warn: silent } }).catch(
    (error: unknown) => {
      throw new DatabaseFault(`The embedded PostgreSQL runs but cannot be used. ${(error as Error).message}`, { cause: error });
    },
  );
  try {
    const { sql } = database;
    const [found] = await sql`select 1 from pg_database where datname = ${databaseName}`;
    if (!found) await sql`create database ${sql(databaseName)}`;
  } finally {
    await database.close();
  }
}

/** Beside the cluster; where that path is too long for a socket, a new folder below the folder for temporary files. */
function chooseSocketFolder(home: string): string {
  const fits = (folder: string): boolean => Buffer.byteLength(join(folder, `.s.PGSQL.${socketPort}`)) <= longestSocketBytes;
  const beside = join(home, 'run');
  if (fits(beside)) return beside;
  const temporary = join(tmpdir(), 'hostroom-');
  return mkdtempSync(fits(`${temporary}123456`) ? temporary : '/tmp/hostroom-');
}
