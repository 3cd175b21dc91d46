/** Real Redis processes for one test: a single server, a master with Sentinels, a Cluster; each may be killed, frozen, started again. */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { freePort } from '../../src/lib/freePort.ts';
import { findTool } from './tools.ts';
import { until } from './until.ts';

type WhenDone = (close: () => Promise<void>) => void;

/** How the servers are to be entered: by everyone without a password, unless said otherwise. */
export interface Secured {
  password?: string;
  /** TLS, and nothing else: PEM files, of which `cert` is also the authority. */
  tls?: { cert: string; key: string };
}

export interface RedisProcess {
  port: number;
  /** `redis://127.0.0.1:<port>`, with what `Secured` asks for. */
  url: string;
  readonly pid: number | undefined;
  /** Starts it again where it is not up; what was in it is gone. */
  start(): Promise<void>;
  /** SIGKILL, and gone when this resolves. */
  kill(): Promise<void>;
  /** SIGSTOP: its connections stay open, nothing is answered. */
  freeze(): void;
  thaw(): void;
  /** One command over a connection of its own. */
  call(command: string, ...args: (string | number)[]): Promise<unknown>;
  close(): Promise<void>;
}

/** Nothing is kept on disk. `settings` are lines of redis.conf by name. It ends with the test. */
export async function startRedis(
  whenDone: WhenDone,
  settings: Readonly<Record<string, string>> = {},
  secured: Secured = {},
): Promise<RedisProcess> {
  return (await startServers(whenDone, [settings], { secured }))[0]!;
}

export interface SentinelSetup {
  /** For REDIS_URL. */
  url: string;
  /** The first master, and its replica. */
  servers: RedisProcess[];
  sentinels: RedisProcess[];
  /** The port of the master that the Sentinels agree on now. */
  masterPort(): Promise<number>;
}

/** One master, one replica, three Sentinels, which know each other when this resolves. */
export async function startSentinel(
  whenDone: WhenDone,
  { downAfterMs = 1_000, secured = {} }: { downAfterMs?: number; secured?: Secured } = {},
): Promise<SentinelSetup> {
  const name = 'main';
  const [master] = await startServers(whenDone, [{}], { secured });
  const [replica] = await startServers(whenDone, [{ replicaof: `127.0.0.1 ${master!.port}` }], { secured });
  const { password, tls } = secured;
  const config = {
    [`sentinel monitor ${name}`]: `127.0.0.1 ${master!.port} 2`,
    [`sentinel down-after-milliseconds ${name}`]: String(downAfterMs),
    [`sentinel failover-timeout ${name}`]: '3000',
    ...(password && { [`sentinel auth-pass ${name}`]: password, 'sentinel sentinel-pass': password }),
  };
  const sentinels = await startServers(whenDone, [config, config, config], { secured, flags: ['--sentinel'] });
  const isWhole = async (sentinel: RedisProcess): Promise<boolean> => {
    const state = fields(await sentinel.call('sentinel', 'master', name));
    return state.get('num-other-sentinels') === '2' && state.get('num-slaves') === '1' && state.get('flags') === 'master';
  };
  await until(async () => (await Promise.all(sentinels.map(isWhole))).every(Boolean), 'the Sentinels know each other', 30_000);
  return {
    url: [
      `${tls ? 'rediss' : 'redis'}-sentinel://${userOf(secured)}`,
      `${sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',')}/${name}`,
      password ? `?sentinel_password=${encodeURIComponent(password)}` : '',
    ].join(''),
    servers: [master!, replica!],
    sentinels,
    masterPort: async () => Number(((await sentinels[0]!.call('sentinel', 'get-master-addr-by-name', name)) as string[])[1]),
  };
}

export interface ClusterSetup {
  /** For REDIS_URL. */
  url: string;
  /** Three masters; then their replicas in the same order, if asked for. */
  nodes: RedisProcess[];
}

/** Three masters that share all slots, each with a replica where `replicas` is wanted. */
export async function startCluster(
  whenDone: WhenDone,
  { replicas = false, nodeTimeoutMs = 2_000, secured = {} }: { replicas?: boolean; nodeTimeoutMs?: number; secured?: Secured } = {},
): Promise<ClusterSetup> {
  const count = replicas ? 6 : 3;
  const busPorts = await Promise.all(Array.from({ length: count }, () => freePort('127.0.0.1')));
  const settings = busPorts.map((port) => ({
    'cluster-enabled': 'yes',
    'cluster-port': String(port),
    'cluster-node-timeout': String(nodeTimeoutMs),
    'cluster-announce-ip': '127.0.0.1',
    ...(secured.tls && { 'tls-cluster': 'yes' }),
  }));
  const nodes = await startServers(whenDone, settings, { secured });
  const first = nodes[0]!;
  await Promise.all(nodes.map((node, index) => node.call('cluster', 'set-config-epoch', index + 1)));
  for (const [index, node] of nodes.entries())
    if (node !== first) await first.call('cluster', 'meet', '127.0.0.1', node.port, busPorts[index]!);
  const third = 16_384 / 3;
  const from = (index: number): number => Math.ceil(index * third);
  for (let index = 0; index < 3; index++) await nodes[index]!.call('cluster', 'addslotsrange', from(index), from(index + 1) - 1);
  const knows = async (node: RedisProcess): Promise<boolean> =>
    String(await node.call('cluster', 'nodes'))
      .split('\n')
      .filter(Boolean).length === count;
  await until(async () => (await Promise.all(nodes.map(knows))).every(Boolean), 'the nodes know each other');
  for (let index = 3; index < count; index++) {
    const id = await nodes[index - 3]!.call('cluster', 'myid');
    await until(
      async () => (await nodes[index]!.call('cluster', 'replicate', String(id)).catch(() => '')) === 'OK',
      'the replica takes its master',
    );
  }
  const isUp = async (node: RedisProcess): Promise<boolean> => String(await node.call('cluster', 'info')).includes('cluster_state:ok');
  await until(async () => (await Promise.all(nodes.map(isUp))).every(Boolean), 'the Cluster is up', 30_000);
  return { url: nodes.map(({ url }) => url).join(','), nodes };
}

/** A Redis of some shape, as a whole. */
export interface RedisSetup {
  /** For REDIS_URL. */
  url: string;
  /** Those that keep data. */
  servers: RedisProcess[];
  /** FLUSHALL everywhere. */
  flush(): Promise<void>;
  /** SIGKILL to all that keep data. */
  kill(): Promise<void>;
  /** Starts them again, empty. */
  start(): Promise<void>;
}

/** All shapes that REDIS_URL may name. */
export const redisShapes: Readonly<Record<string, (whenDone: WhenDone, secured?: Secured) => Promise<RedisSetup>>> = {
  standalone: async (whenDone, secured) => {
    const server = await startRedis(whenDone, {}, secured);
    return wholeOf(server.url, [server]);
  },
  Sentinel: async (whenDone, secured) => {
    const { url, servers } = await startSentinel(whenDone, { secured });
    return wholeOf(url, servers);
  },
  Cluster: async (whenDone, secured) => {
    const { url, nodes } = await startCluster(whenDone, { secured });
    return wholeOf(url, nodes);
  },
};

const wholeOf = (url: string, servers: RedisProcess[]): RedisSetup => ({
  url,
  servers,
  flush: async () => {
    // A replica refuses, and follows its master.
    await Promise.all(servers.map((server) => server.call('flushall').catch(() => undefined)));
  },
  kill: async () => {
    await Promise.all(servers.map((server) => server.kill()));
  },
  start: async () => {
    await Promise.all(servers.map((server) => server.start()));
  },
});

async function startServers(
  whenDone: WhenDone,
  all: readonly Readonly<Record<string, string>>[],
  how: { secured: Secured; flags?: readonly string[] },
): Promise<RedisProcess[]> {
  const program = findTool('redis');
  if (program === undefined) throw new Error('redis-server is not installed');
  const folder = mkdtempSync(join(tmpdir(), 'hostroom-redis-'));
  const servers = await Promise.all(all.map((settings, index) => makeServer(program, join(folder, String(index)), settings, how)));
  whenDone(async () => {
    await Promise.all(servers.map((server) => server.close()));
    rmSync(folder, { recursive: true, force: true });
  });
  await Promise.all(servers.map((server) => server.start()));
  return servers;
}

async function makeServer(
  program: string,
  folder: string,
  settings: Readonly<Record<string, string>>,
  { secured, flags = [] }: { secured: Secured; flags?: readonly string[] },
): Promise<RedisProcess> {
  const { password, tls } = secured;
  const port = await freePort('127.0.0.1');
  const isSentinel = flags.includes('--sentinel');
  const base = {
    ...(tls ? tlsSettings(port, tls) : { port: String(port) }),
    ...(password && { requirepass: password }),
    ...(password && !isSentinel && { masterauth: password }),
    bind: '127.0.0.1',
    dir: folder,
    ...(isSentinel ? {} : { save: '""', appendonly: 'no', 'repl-diskless-sync-delay': '0' }),
  };
  mkdirSync(folder);
  const config = join(folder, 'redis.conf');
  const lines = Object.entries({ ...base, ...settings }).map(([name, value]) => `${name} ${value}`);
  writeFileSync(config, `${lines.join('\n')}\n`);
  let child: ChildProcess | undefined;
  let ended = Promise.resolve();
  let output = '';
  let client: Redis | undefined;

  const isUp = (): boolean => child !== undefined && child.exitCode === null && child.signalCode === null;
  const signal = (name: NodeJS.Signals): void => {
    if (isUp()) child?.kill(name);
  };
  async function end(): Promise<void> {
    client?.disconnect();
    client = undefined;
    // A frozen process takes SIGKILL too.
    signal('SIGKILL');
    await ended;
  }
  const call = async (command: string, ...args: (string | number)[]): Promise<unknown> => {
    client ??= new Redis({
      port,
      host: '127.0.0.1',
      password,
      tls: tls && { ca: readFileSync(tls.cert), checkServerIdentity: () => undefined },
      lazyConnect: true,
      enableReadyCheck: false,
      maxRetriesPerRequest: 0,
      retryStrategy: () => null,
    })
      .on('error', () => undefined)
      .once('end', () => (client = undefined));
    return client.call(command, ...args);
  };
  return {
    port,
    url: `${tls ? 'rediss' : 'redis'}://${userOf(secured)}127.0.0.1:${port}`,
    get pid() {
      return isUp() ? child?.pid : undefined;
    },
    async start() {
      if (isUp()) return;
      output = '';
      const [command = program, ...args] = withParent([program, config, ...flags]);
      const started = spawn(command, args, { cwd: folder, stdio: ['ignore', 'pipe', 'ignore'] });
      child = started;
      started.stdout.setEncoding('utf8').on('data', (text: string) => (output = (output + text).slice(-4_000)));
      ended = new Promise((resolve) => started.once('exit', () => resolve()));
      await until(async () => !isUp() || (await call('ping').catch(() => '')) === 'PONG', 'redis-server answers');
      if (!isUp()) throw new Error(`redis-server did not start: ${output}`);
    },
    kill: end,
    freeze: () => signal('SIGSTOP'),
    thaw: () => signal('SIGCONT'),
    call,
    close: end,
  };
}

const userOf = ({ password }: Secured): string => (password === undefined ? '' : `:${encodeURIComponent(password)}@`);

const tlsSettings = (port: number, { cert, key }: { cert: string; key: string }): Record<string, string> => ({
  port: '0',
  'tls-port': String(port),
  'tls-cert-file': cert,
  'tls-key-file': key,
  'tls-ca-cert-file': cert,
  'tls-auth-clients': 'no',
  'tls-replication': 'yes',
});

/** Ends with this process even where that is killed, on Linux. */
function withParent(command: string[]): string[] {
  const setpriv = findTool('setpriv');
  return setpriv === undefined ? command : [setpriv, '--pdeathsig', 'KILL', ...command];
}

/** The flat list `name, value, …` that Redis answers with. */
function fields(reply: unknown): Map<string, string> {
  const list = reply as string[];
  return new Map(list.flatMap((name, index) => (index % 2 === 0 ? [[name, list[index + 1] ?? '']] : [])));
}
