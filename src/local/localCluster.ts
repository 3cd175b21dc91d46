/** Several replicas on one machine, with all they stand on: PostgreSQL, Redis, nginx in front, an agent for this machine. */

import { createServer } from 'node:net';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as wait } from 'node:timers/promises';
import { localEnrolment } from '../actions/hosts.ts';
import { signInLinkIfNeeded } from '../actions/signInLink.ts';
import { loadSecret } from '../auth/secretKey.ts';
import type { Config } from '../config.ts';
import { findHostKey } from '../data/hosts.ts';
import { startEmbedded } from '../db/embedded.ts';
import { makeDataFolder } from '../db/embeddedPlace.ts';
import { lockFolder } from '../db/folderLock.ts';
import { openAll, type CloseFailed, type Closers } from '../lib/closers.ts';
import type { Log } from '../ops/log.ts';
import { openStorage, type Storage } from '../storage.ts';
import { type Balancer, startBalancer } from './balancer.ts';
import { type ClusterRecord, endLeftovers, removeRecord, writeRecord } from './clusterRecord.ts';
import { findProgram } from './findProgram.ts';
import { type EnrollingHub, localUrl, startEnrolledAgent } from './localAgent.ts';
import type { Output } from './output.ts';
import { startRedisServer } from './redisServer.ts';
import { Replicas } from './replicas.ts';
import { startReplica } from './replica.ts';

export interface LocalClusterOptions {
  /** PORT is the balancer's. With DATABASE_URL or REDIS_URL it stands on those. */
  config: Config;
  log: Log;
  root: string;
  replicas: number;
  programs: ClusterPrograms;
  output: Output;
}

export interface LocalCluster {
  /** Where everything is kept. */
  folder: string;
  /** What runs now. */
  record(): ClusterRecord;
  /** The link to show at a start; undefined once an admin has a password. */
  signInLink(): Promise<string | undefined>;
  /** Starts replicas or stops the newest; resolves when it is done. */
  scale(replicas: number): Promise<void>;
  /** Stops in order: the agent, the replicas, nginx, Redis, PostgreSQL. */
  close(): Promise<void>;
}

/** Full paths of programs. */
export interface ClusterPrograms {
  nginx: string;
  /** Undefined with REDIS_URL. */
  redis: string | undefined;
}

/** The embedded PostgreSQL has room for their connections. */
export const maxReplicas = 16;
const databaseSettings = { max_connections: '250' };
const longestBalancerStartMs = 10_000;

/** Throws an error whose message says how to get what is missing. */
export function findPrograms(config: Config, find = findProgram): ClusterPrograms {
  const nginx = find('nginx');
  const redis = config.redis ? undefined : find('redis-server');
  const missing = [nginx ? [] : ['nginx'], redis || config.redis ? [] : ['redis-server']].flat();
  if (nginx && missing.length === 0) return { nginx, redis };
  throw new Error(
    `npm run cluster needs ${missing.join(' and ')} on this machine. On Debian and Ubuntu: apt-get install ${missing.join(' ')}`,
  );
}

/** Throws DatabaseFault, or what its parts throw, having stopped what ran. */
export async function startLocalCluster(options: LocalClusterOptions): Promise<LocalCluster> {
  const failed: CloseFailed = (error, what) => options.log.error({ err: error, what }, 'could not be stopped');
  return openAll((closers) => build(options, closers, failed), failed);
}

async function build(options: LocalClusterOptions, closers: Closers, failed: CloseFailed): Promise<LocalCluster> {
  const { config, log, root, programs, output } = options;
  const folder = makeDataFolder(join(config.dataDir, 'cluster'));
  const databaseUrl = config.databaseUrl ?? (await startDatabase(folder, log, closers));
  if (config.databaseUrl) {
    const lock = lockFolder(folder);
    closers.add('lock', () => lock.release());
  }
  await endLeftovers(folder);
  await checkPort(config.host, config.port);
  closers.add('record', () => removeRecord(folder));
  const storage = await openStorage({ ...config, dataDir: folder, databaseUrl }, log, closers);
  const secret = await loadSecret(config.secretKey, folder);
  const redis = programs.redis === undefined ? undefined : await startRedisServer(programs.redis, join(folder, 'redis'), output);
  if (redis) closers.add('Redis', () => redis.close());

  const url = localUrl(config.host, config.port);
  let balancer: Balancer | undefined;
  closers.add('nginx', () => balancer?.close());
  const replicas = new Replicas(
    (number, changed) =>
      startReplica({
        name: `hub ${number}`,
        root,
        environment: {
          PUBLIC_URL: config.publicUrl,
          ALLOWED_ORIGINS: config.allowedOrigins.join(','),
          TRUSTED_PROXIES: ['127.0.0.1', ...config.trustedProxies].join(','),
          DATA_DIR: join(folder, `hub-${number}`),
          DATABASE_URL: databaseUrl,
          SECRET_KEY: Buffer.from(secret).toString('base64'),
          REDIS_URL: redis?.url,
        },
        graceMs: config.shutdownGraceMs + 5_000,
        output,
        onChange: changed,
      }),
    (list) => {
      if (list.length > 0) balancer?.point(list.map(({ port }) => port));
    },
    () => note(),
  );
  const record = (): ClusterRecord => ({
    url,
    pid: process.pid,
    nginx: balancer?.pid,
    redis: redis?.pid,
    replicas: replicas.list.map(({ name, pid, port, opsPort }) => ({
      name,
      pid,
      url: localUrl('127.0.0.1', port),
      opsUrl: localUrl('127.0.0.1', opsPort),
    })),
  });
  const note = (): void => writeRecord(folder, record());
  closers.add('replicas', () => replicas.close());
  await replicas.scale(options.replicas);
  balancer = startBalancer({
    nginx: programs.nginx,
    folder: join(folder, 'nginx'),
    root,
    host: config.host,
    port: config.port,
    ports: replicas.list.map(({ port }) => port),
    output,
    onStart: note,
  });
  await untilAnswered(url);
  const agent = await startEnrolledAgent(agentNeeds(storage), {
    hubUrl: url,
    dataDir: folder,
    logLevel: config.logLevel,
    onExit: (code, signal, againInMs) => output('agent', `ended with ${signal ?? code}; it is started again in ${againInMs} ms`),
  });
  closers.add('agent', () => agent.close());
  return {
    folder,
    record,
    signInLink: () => signInLinkIfNeeded(storage.database.sql, config.publicUrl),
    scale: (count) => replicas.scale(count),
    close: () => closers.close(failed),
  };
}

async function startDatabase(dataDir: string, log: Log, closers: Closers): Promise<string> {
  const embedded = await startEmbedded({ dataDir, log, settings: databaseSettings });
  closers.add('embedded PostgreSQL', () => embedded.close());
  return embedded.url;
}

const agentNeeds = ({ database: { sql }, identity }: Storage): EnrollingHub => ({
  id: identity.id,
  isEnrolled: async (host) => ((await findHostKey(sql, host))?.publicKey ?? null) !== null,
  localEnrolment: async () => (await localEnrolment({ sql })).token,
});

/** Rejects with EADDRINUSE and the like, before anything is started for nothing. */
function checkPort(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(port, host, () => probe.close(() => resolve()));
  });
}

/** Until the balancer reaches a replica. */
async function untilAnswered(url: string): Promise<void> {
  const deadline = performance.now() + longestBalancerStartMs;
  for (;;) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- it is asked until it answers
      if ((await fetch(`${url}/api/v1/time`)).ok) return;
    } catch {
      // It does not listen yet.
    }
    if (performance.now() > deadline) throw new Error(`nginx does not answer at ${url}; its lines above say why`);
    // oxlint-disable-next-line no-await-in-loop -- not all the time
    await wait(20);
  }
}
