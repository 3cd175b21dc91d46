/** A hub as a process, or several behind a balancer, on a PostgreSQL of its own, with agents and viewers: what the fault tests break. */

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { newOpaqueToken } from '../../../src/auth/opaqueToken.ts';
import { insertEnrolment } from '../../../src/data/enrolments.ts';
import { freePort } from '../../../src/lib/freePort.ts';
import { openDatabase, type Database, type Pool } from '../../../src/db/database.ts';
import { makeRunFolder, run, type Hostroom } from '../hostroom.ts';
import { signInBy, type SignedIn } from '../signedIn.ts';
import { until } from '../until.ts';
import { judge, type Seen, type Verdict } from './checker.ts';
import { readCluster } from './cluster.ts';
import { startLoadAgent, type LoadAgent, type LoadAgentOptions } from './loadAgent.ts';
import { makeOwnPostgres, type OwnPostgres } from './ownPostgres.ts';
import { countStored, readStored } from './stored.ts';
import { startViewer, type Delays, type Viewer } from './viewer.ts';

type WhenDone = (close: () => Promise<void> | void) => void;

export interface RigOptions {
  /** Where PostgreSQL lives; default: in the run's folder. */
  postgresFolder?: string;
  postgresSettings?: Readonly<Record<string, string>>;
  /** Stands between hub and PostgreSQL: gives the port that the hub uses. */
  databaseThrough?: (port: number) => Promise<number>;
  environment?: Readonly<Record<string, string>>;
  /** So many by `npm run cluster`, in place of one hub alone. */
  replicas?: number;
  /** Starts something else with the settings that a hub needs, in place of one hub alone; `url` and `link` of its answer are used. */
  start?: (folder: string, environment: Readonly<Record<string, string>>) => Promise<Hostroom>;
}

export interface RealAgent {
  pid(): number;
  output(): string;
  kill(): Promise<void>;
  start(): Promise<void>;
  /** SIGTERM, and waits. */
  close(): Promise<void>;
  stateDir: string;
}

export interface Rig {
  folder: string;
  postgres: OwnPostgres;
  /** The hub that runs now, or the balancer with all behind it; its addresses stay the same over restarts. */
  hub: Hostroom;
  /** SIGKILL to the hub alone. */
  killHub(): Promise<void>;
  /** As a supervisor would; resolves when it is ready. */
  startHub(): Promise<void>;
  person: SignedIn;
  /** A fresh access token of that person. */
  token(): Promise<string>;
  /** Past everything, to PostgreSQL itself. */
  sql: Pool;
  /** Bytes of memory of the hub's process. */
  hubMemory(): number;
  /** One number of the hub's `/metrics`, the sum of those of all replicas that run, 0 where it is not there. */
  metric(name: string, labels?: string): Promise<number>;
  /** A token with which so many agents may enrol. */
  enrolmentToken(uses: number): Promise<string>;
  /** Agents with synthetic samples; resolves once each has something acknowledged. */
  load(count: number, options: Partial<LoadAgentOptions> & { intervalMs: number }): Promise<LoadAgent[]>;
  /** The packed-out agent as a process. */
  realAgent(options?: { hubUrl?: string; environment?: Record<string, string>; through?: readonly string[] }): Promise<RealAgent>;
  view(hosts: readonly string[], hubUrl?: string, delays?: Delays): Promise<Viewer>;
  /** Whether the hub still runs. */
  isUp(): boolean;
  /** Reads everything back and compares; `settled` as in the checker. */
  verdict(agents: readonly LoadAgent[], viewers?: readonly Viewer[], settled?: boolean): Promise<Verdict>;
}

const root = join(import.meta.dirname, '../../..');

export async function startRig(whenDone: WhenDone, options: RigOptions = {}): Promise<Rig> {
  const folder = makeRunFolder(whenDone, 'hostroom-faults-');
  const postgres = await makeOwnPostgres(options.postgresFolder ?? join(folder, 'pg'), options.postgresSettings);
  whenDone(() => postgres.close());
  await postgres.start();
  const port = (await options.databaseThrough?.(postgres.port)) ?? postgres.port;
  const environment: Record<string, string> = {
    DATABASE_URL: postgres.url.replace(`:${postgres.port}/`, `:${port}/`),
    SECRET_KEY: randomBytes(32).toString('base64'),
    PORT: String(await freePort('127.0.0.1')),
    OPS_PORT: String(await freePort('127.0.0.1')),
    LOG_LEVEL: 'info',
    LIMIT_CONNECTIONS_USER: '1000',
    LIMIT_CONNECTIONS_ADDRESS: '10000',
    LIMIT_HANDSHAKES: '2000',
    ...options.environment,
  };
  let isOver = true;
  const startHub = async (): Promise<Hostroom> => {
    const cluster = { program: 'clusterMain', args: ['--replicas', String(options.replicas)] } as const;
    const alone = (): Promise<Hostroom> => run(join(folder, 'data'), { environment, ...(options.replicas ? cluster : {}) });
    const started = await (options.start?.(folder, environment) ?? alone());
    isOver = false;
    void started.ended.then(() => (isOver = true));
    await started.ready();
    return started;
  };
  const hub = await startHub();
  whenDone(async () => {
    if (isOver) return;
    rig.hub.signal('SIGTERM');
    const late = setTimeout(() => rig.hub.signal('SIGKILL'), 15_000);
    await rig.hub.ended;
    clearTimeout(late);
  });
  const person = await signInBy(await until(() => hub.link(), 'a sign-in link'), hub.url);
  const database = await openOwn(postgres.url);
  whenDone(() => database.close());
  const { sql } = database;
  let agents = 0;
  let cookie = person.refreshToken;
  let fresh: Promise<string> | undefined;

  /** One at a time, for each use makes the next. */
  const accessToken = (): Promise<string> => {
    fresh ??= refresh(hub.url, cookie)
      .then((answer) => {
        cookie = answer.cookie;
        return answer.accessToken;
      })
      .finally(() => setTimeout(() => (fresh = undefined), 60_000).unref());
    fresh.catch(() => (fresh = undefined));
    return fresh;
  };

  const rig: Rig = {
    folder,
    postgres,
    hub,
    person,
    token: accessToken,
    sql,
    async killHub() {
      rig.hub.child.kill('SIGKILL');
      await rig.hub.ended;
    },
    async startHub() {
      rig.hub = await startHub();
    },
    hubMemory: () => residentBytes(rig.hub.child.pid!),
    async metric(name, labels = '') {
      const all = options.replicas ? readCluster(folder).replicas.map(({ opsUrl }) => opsUrl) : [hub.opsUrl];
      const counts = await Promise.all(all.map((opsUrl) => readMetric(opsUrl, name, labels)));
      return counts.reduce((sum, count) => sum + count, 0);
    },
    async enrolmentToken(uses) {
      const { token, hash } = newOpaqueToken();
      const [group] = await sql<[{ id: string }]>`select id from host_group order by created_at limit 1`;
      await insertEnrolment(sql, { tokenHash: hash, group: group.id, host: null, uses, lifetimeS: 3600, createdBy: null });
      return token;
    },
    async load(count, over) {
      const enrolmentToken = await rig.enrolmentToken(count);
      const started = Array.from({ length: count }, () => {
        const name = `load ${(agents += 1)}`;
        return startLoadAgent({ hubUrl: hub.url, enrolmentToken, stateDir: join(folder, name), name, ...over });
      });
      whenDone(async () => void (await Promise.all(started.map((agent) => agent.close()))));
      await until(() => started.every((agent) => agent.acknowledged > 0), 'each agent has a sample committed', 60_000);
      return started;
    },
    async realAgent(over = {}) {
      const stateDir = join(folder, `real ${(agents += 1)}`);
      const agent = makeRealAgent(stateDir, over.through ?? [], {
        HUB_URL: over.hubUrl ?? hub.url,
        ENROLMENT_TOKEN: await rig.enrolmentToken(1),
        ...over.environment,
      });
      whenDone(() => agent.close());
      await agent.start();
      return agent;
    },
    async view(hosts, hubUrl = hub.url, delays) {
      const viewer = await startViewer(hubUrl, accessToken, hosts, delays);
      whenDone(() => viewer.close());
      return viewer;
    },
    isUp: () => !isOver,
    async verdict(loaded, viewers = [], settled = false) {
      const hosts = loaded.map((agent) => agent.host()!);
      return judge({
        sent: loaded.flatMap((agent) => agent.ledger()),
        stored: await readStored(sql, hosts),
        counted: await countStored(sql, hosts),
        views: viewers.flatMap<Seen[]>((viewer) => viewer.views()),
        settled,
      });
    },
  };
  return rig;
}

/** Waits until nothing of these agents is unanswered. They must not sample any more. */
export function untilDelivered(agents: readonly LoadAgent[], withinMs = 120_000): Promise<boolean> {
  return until(() => agents.every((agent) => agent.depth === 0), 'everything is acknowledged', withinMs);
}

/** Ready for a server that is away, frozen or full at times. */
function openOwn(url: string): Promise<Database> {
  return openDatabase({ url, log: pino({ level: 'silent' }), maxConnections: 4, applicationName: 'checker', statementTimeoutMs: 300_000 });
}

async function refresh(hubUrl: string, cookie: string): Promise<{ accessToken: string; cookie: string }> {
  const { port } = new URL(hubUrl);
  const answer = await fetch(`${hubUrl}/api/v1/auth/refresh`, {
    method: 'POST',
    headers: { cookie: `hostroom-${port}=${cookie}`, origin: `http://localhost:${port}` },
  });
  if (answer.status !== 200) throw new Error(`refresh: ${answer.status} ${await answer.text()}`);
  const { accessToken } = (await answer.json()) as { accessToken: string };
  return { accessToken, cookie: /=([^;]+)/.exec(answer.headers.getSetCookie()[0] ?? '')?.[1] ?? cookie };
}

async function readMetric(opsUrl: string, name: string, labels: string): Promise<number> {
  const text = await (await fetch(`${opsUrl}/metrics`)).text();
  const line = text.split('\n').find((one) => one.startsWith(`${name}${labels} `));
  return Number(line?.split(' ').at(-1) ?? 0);
}

export function residentBytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
}

function makeRealAgent(stateDir: string, through: readonly string[], environment: Record<string, string>): RealAgent {
  let text = '';
  let child: ReturnType<typeof spawn> | undefined;
  let ended = Promise.resolve();
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child && child.exitCode === null && child.signalCode === null) child.kill(signal);
    await ended;
  };
  return {
    stateDir,
    pid: () => child?.pid ?? 0,
    output: () => text,
    kill: () => end('SIGKILL'),
    async close() {
      const late = setTimeout(() => child?.kill('SIGKILL'), 10_000);
      await end('SIGTERM');
      clearTimeout(late);
    },
    async start() {
      mkdirSync(stateDir, { recursive: true });
      const command = [...through, process.execPath, join(root, 'agent/main.ts')];
      const started = spawn(command[0]!, command.slice(1), {
        cwd: root,
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { PATH: process.env['PATH'], STATE_DIR: stateDir, LOG_LEVEL: 'debug', INSECURE: '1', ...environment },
      });
      child = started;
      for (const stream of [started.stdout, started.stderr])
        stream.setEncoding('utf8').on('data', (part: string) => (text = (text + part).slice(-200_000)));
      ended = new Promise((resolve) => started.once('exit', () => resolve()));
      const from = text.length;
      await until(() => text.slice(from).includes('agent starts') || started.exitCode !== null, 'the agent starts', 30_000);
      if (started.exitCode !== null) throw new Error(`the agent ended:\n${text}`);
    },
  };
}
