/** Starts a hub for a person at a terminal: configuration, log, faults in plain words, stop on a signal. */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { startApp, type App } from './app.ts';
import { atPort, ConfigError, isUnderNpm, readConfig, warnings, type Config } from './config.ts';
import { DatabaseFault } from './db/database.ts';
import { lockFolder } from './db/folderLock.ts';
import { freePort } from './lib/freePort.ts';
import { createLog, type Log } from './ops/log.ts';
import type { StopOptions } from './stop.ts';

/** The folder that holds the web UI, the agent and the migrations. */
export const root = join(import.meta.dirname, '..');

export const version = (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }).version;

/** Reads the configuration, or tells all its faults and ends the process with 2. */
export async function configure(program: 'hub' | 'migrate' = 'hub'): Promise<{ config: Config; log: Log }> {
  try {
    const read = readConfig(undefined, program);
    // Addresses made of the port are needed before anything listens.
    const config = read.port === 0 ? atPort(read, await freePort(read.host)) : read;
    return { config, log: createLog(config.logLevel) };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(2);
  }
}

export async function startHub(config: Config, log: Log): Promise<App> {
  const app = await startApp({ config, log, version, root });
  for (const warning of warnings(config)) log.warn(warning);
  log.info({ address: config.publicUrl, operations: app.opsUrl, hub: app.id, version }, 'the hub is ready');
  return app;
}

/** What `start` gives; where it fails for a reason that a person can mend, says so in one sentence and ends the process with 1. */
export async function orExplain<T>(config: Config, start: () => Promise<T>): Promise<T> {
  try {
    return await start();
  } catch (error) {
    const explained = explain(error, config);
    if (explained === undefined) throw error;
    process.stderr.write(`${explained}\n`);
    process.exit(1);
  }
}

/** How a hub is stopped. */
export function stopOptions(config: Config, log: Log): StopOptions {
  return {
    graceMs: config.shutdownGraceMs,
    // The embedded database is a process that would go on running.
    mayCutStart: config.databaseUrl !== undefined,
    underNpm: isUnderNpm(),
    failed: (error, what) => log.fatal({ err: error }, what),
  };
}

function explain(error: unknown, config: Config): string | undefined {
  if (error instanceof DatabaseFault) return error.message;
  const { code, port } = error as NodeJS.ErrnoException & { port?: number };
  const name = port === config.opsPort ? 'OPS_PORT' : 'PORT';
  switch (code) {
    case 'EADDRINUSE':
      return (
        inUse(config) ??
        `${name}: port ${port} is taken by another program. Stop that one, or set ${name} to a free port, such as ${name}=${(port ?? 0) + 10}.`
      );
    case 'EACCES':
      return port === undefined
        ? `DATA_DIR: ${(error as Error).message}. Give this user the right to write there, or set DATA_DIR to another folder.`
        : `${name}: this user may not listen on port ${port}; ports below 1024 need root. Set ${name} to a higher one.`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return `HOST: ${config.host} is not an address of this machine. Use 127.0.0.1, or 0.0.0.0 for all.`;
    case 'ENOSPC':
      return `DATA_DIR: no space is left on the disk of ${config.dataDir}. Free some, or set DATA_DIR to a folder on another disk.`;
    default:
      return undefined;
  }
}

/** Says so when the port is taken by the hub that uses this very data folder. */
function inUse(config: Config): string | undefined {
  if (config.databaseUrl !== undefined || !existsSync(config.dataDir)) return undefined;
  try {
    lockFolder(config.dataDir).release();
    return undefined;
  } catch (error) {
    return error instanceof DatabaseFault ? error.message : undefined;
  }
}

/** What a person got wrong on the command line ends the process with 2. */
export function orUsage<T>(usage: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n${usage}\n`);
    return process.exit(2);
  }
}
