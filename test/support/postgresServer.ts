/** Starts an installed PostgreSQL (Debian's, say) in a folder of its own, for a second run of the tests. */

import { spawn, spawnSync } from 'node:child_process';
import { chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { findTool } from './tools.ts';
import { until } from './until.ts';

export interface PostgresServer {
  url: string;
  /** As the server names it: `15.14`. */
  version: string;
  close(): Promise<void>;
}

/** Undefined where no server is installed. It listens on a free loopback port, without fsync: its data lives as long as the run. */
export async function startPostgresServer(): Promise<PostgresServer | undefined> {
  const program = findTool('postgresql');
  if (program === undefined) return undefined;
  const owner = process.getuid?.() === 0 ? { uid: idOf('-u'), gid: idOf('-g') } : {};
  const folder = mkdtempSync(join(tmpdir(), 'hostroom-pg-'));
  if (owner.uid !== undefined) chownSync(folder, owner.uid, owner.gid);
  const passwordFile = join(folder, 'password');
  writeFileSync(passwordFile, 'hostroom', { mode: 0o600 });
  if (owner.uid !== undefined) chownSync(passwordFile, owner.uid, owner.gid);
  const data = join(folder, 'data');
  const initdb = join(dirname(program), 'initdb');
  const made = spawnSync(
    initdb,
    ['-D', data, '-U', 'hostroom', '-A', 'scram-sha-256', '--pwfile', passwordFile, '-E', 'UTF8', '--locale=C', '--no-sync'],
    {
      ...owner,
      cwd: folder,
      encoding: 'utf8',
    },
  );
  if (made.status !== 0) throw new Error(`initdb failed: ${made.stderr}`);
  const port = await freePort();
  const settings = {
    port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: 200,
    fsync: 'off',
    shared_buffers: '32MB',
  };
  const server = spawn(program, ['-D', data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])], {
    ...owner,
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  server.stderr.setEncoding('utf8').on('data', (text: string) => (log = (log + text).slice(-10_000)));
  const ended = new Promise<void>((resolve) => server.once('exit', () => resolve()));
  await until(() => log.includes('ready to accept connections') || server.exitCode !== null, 'the server is up');
  if (server.exitCode !== null) throw new Error(`postgres did not start: ${log}`);
  const version = spawnSync(program, ['--version'], { encoding: 'utf8' }).stdout.match(/\d+(\.\d+)*/)?.[0] ?? '';
  return {
    url: `postgres://hostroom:hostroom@127.0.0.1:${port}/postgres`,
    version,
    close: async () => {
      server.kill('SIGINT');
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** PostgreSQL refuses to run as root; Debian's package brings the user `postgres`. */
function idOf(flag: '-u' | '-g'): number {
  const answer = spawnSync('id', [flag, 'postgres'], { encoding: 'utf8' });
  if (answer.status !== 0) throw new Error('running as root, and there is no user postgres to run the server as');
  return Number(answer.stdout);
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
