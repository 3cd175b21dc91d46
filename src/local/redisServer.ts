/** A Redis for the replicas of one machine: a cache that keeps nothing. */

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../lib/freePort.ts';
import { KeptProcess } from './keptProcess.ts';
import { type Output, toOutput } from './output.ts';

export interface RedisServer {
  /** For REDIS_URL. */
  url: string;
  readonly pid: number | undefined;
  close(): Promise<void>;
}

/** On a free port of 127.0.0.1, with a password. Nothing in `folder` outlives a run. */
export async function startRedisServer(redis: string, folder: string, output: Output): Promise<RedisServer> {
  mkdirSync(folder, { recursive: true });
  const port = await freePort('127.0.0.1');
  const password = randomBytes(24).toString('base64url');
  const file = join(folder, 'redis.conf');
  const lines = [
    'bind 127.0.0.1',
    `port ${port}`,
    `requirepass ${password}`,
    `dir ${JSON.stringify(folder)}`,
    'save ""',
    'appendonly no',
    'loglevel warning',
  ];
  writeFileSync(file, `${lines.join('\n')}\n`, { mode: 0o600 });
  const kept = new KeptProcess({
    start: () => {
      // Of a session of its own: Ctrl-C is for the cluster, which stops it last.
      const child = spawn(redis, [file], { cwd: folder, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
      toOutput(child, 'redis', output);
      return child;
    },
    pauseMs: { first: 100, most: 5_000 },
    graceMs: 3_000,
    onExit: (code, signal, againInMs) => output('redis', `ended with ${signal ?? code}; it is started again in ${againInMs} ms`),
  });
  return {
    url: `redis://:${password}@127.0.0.1:${port}`,
    get pid() {
      return kept.pid;
    },
    close: () => kept.close(),
  };
}
