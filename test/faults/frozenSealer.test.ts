/** R27: no replica leads; one that stands still, or dies, while it holds a lock for all of them is replaced, and writes nothing more. */

import process from 'node:process';
import { setTimeout as wait } from 'node:timers/promises';
import { expect, onTestFinished } from 'vitest';
import { readRaw } from '../../src/data/history.ts';
import { MetricNames } from '../../src/data/metricNames.ts';
import { insertSamples } from '../../src/data/samples.ts';
import { countWork } from '../../src/data/sealWork.ts';
import type { Sql } from '../../src/db/database.ts';
import { processAtPort } from '../support/faults/backends.ts';
import { readCluster, untilReplicasReady } from '../support/faults/cluster.ts';
import { startRig, type Rig } from '../support/faults/rig.ts';
import { printFigures, sized } from '../support/faults/scale.ts';
import { needs } from '../support/needs.ts';
import { addHosts, minuteMs, openSince, rows, thisMinute } from '../support/sealing.ts';
import { until } from '../support/until.ts';

const replicas = 3;
const hostCount = 16;
const minutes = 8;
const frozenMs = sized(20_000, 30_000);
/** A round of sealing every 5 s, a quarter more at most, behind the 10 s after which PostgreSQL ends who stands still. */
const takeoverMs = 20_000;

needs('linux', 'nginx', 'redis').test(
  'R27: a replica is frozen, or killed, in the middle of sealing or posting: another goes on within 20 s, and nothing is written twice',
  async () => {
    const rig = await startRig(onTestFinished, { replicas });
    const frozen = await sealWhile(rig, 'SIGSTOP');
    const before = await digest(rig.sql, frozen.hosts);
    await wait(Math.max(0, frozenMs - (performance.now() - frozen.sinceMs)));
    process.kill(frozen.pid, 'SIGCONT');
    await untilReplicasReady(rig.folder, replicas);
    const killed = await sealWhile(rig, 'SIGKILL');
    await untilReplicasReady(rig.folder, replicas);
    // The one that stood still has had rounds of its own since.
    expect(await digest(rig.sql, frozen.hosts)).toBe(before);
    for (const { hosts, from } of [frozen, killed]) expect(await readAll(rig.sql, hosts, from)).toBe(hostCount * minutes * 60);
    const post = await postWhileFrozen(rig);
    printFigures('R27 whoever holds a lock stands still or dies', {
      replicas,
      frozenMs,
      frozenTakenOverMs: frozen.takenOverMs,
      frozenAllSealedMs: frozen.allSealedMs,
      killedTakenOverMs: killed.takenOverMs,
      killedAllSealedMs: killed.allSealedMs,
      ...post,
    });
    for (const ms of [frozen.takenOverMs, killed.takenOverMs, post.postedMs]) expect(ms).toBeLessThan(takeoverMs);
  },
  sized(240_000, 300_000),
);

interface Sealed {
  hosts: string[];
  from: number;
  pid: number;
  /** `performance.now()` */
  sinceMs: number;
  /** Until the work that it had taken was done by another. */
  takenOverMs: number;
  allSealedMs: number;
}

let rounds = 0;

/** Gives all replicas minutes to seal, stops the one that is in the middle of it, waits until the others have done everything. */
async function sealWhile(rig: Rig, signal: 'SIGSTOP' | 'SIGKILL'): Promise<Sealed> {
  const { sql } = rig;
  const hosts = await addHosts(sql, hostCount);
  const from = thisMinute - 3 * minuteMs - minutes * minuteMs;
  if (rounds++ === 0) await openSince(sql, from);
  const given = hosts.flatMap((host) => rows(host, from, from + minutes * minuteMs));
  let stopped: { pid: number; sinceMs: number } | undefined;
  await sql.begin(async (tx) => {
    // The sealer waits for this host within its transaction, so that it stands still in the middle.
    await tx`select from host where id = ${hosts[0]!} for update`;
    for (let i = 0; i < given.length; i += 1_000) await insertSamples(sql, given.slice(i, i + 1_000));
    stopped = await stopWhoWaits(rig, tx, signal);
  });
  const { pid, sinceMs } = stopped!;
  const since = (): number => Math.round(performance.now() - sinceMs);
  const chunksOf = async (of: readonly string[]): Promise<number> =>
    (await sql`select from sample_chunk where host = any(${`{${of.join()}}`}::text::uuid[])`).count;
  await until(async () => (await chunksOf(hosts.slice(0, 1))) === minutes, 'another one has sealed what it had begun', 60_000);
  const takenOverMs = since();
  await until(async () => (await chunksOf(hosts)) === hosts.length * minutes && (await countWork(sql)) === 0, 'all is sealed', 60_000);
  return { hosts, from, pid, sinceMs, takenOverMs, allSealedMs: since() };
}

/** The replica one of whose connections waits for a lock of `tx`. */
async function stopWhoWaits(rig: Rig, tx: Sql, signal: 'SIGSTOP' | 'SIGKILL'): Promise<{ pid: number; sinceMs: number }> {
  const pids = readCluster(rig.folder).replicas.flatMap((replica) => replica.pid ?? []);
  const find = async (): Promise<number | undefined> => {
    const waiting = await tx<{ port: number }[]>`
      select client_port as port from pg_stat_activity where pg_backend_pid() = any(pg_blocking_pids(pid)) and application_name = 'hostroom'`;
    return waiting.map(({ port }) => processAtPort(pids, port)).find((pid) => pid !== undefined);
  };
  const pid = await until(find, 'a replica waits', 60_000);
  process.kill(pid, signal);
  onTestFinished(() => continueIfThere(pid));
  return { pid, sinceMs: performance.now() };
}

/** A replica stands still while it holds the lock of a conversation; how long somebody on another one waits to post there. */
async function postWhileFrozen(rig: Rig): Promise<{ postedMs: number }> {
  const answer = await rig.person.call('POST', '/hosts', { name: 'talk' });
  const { id: room } = (await answer.json()) as { id: string };
  const all = readCluster(rig.folder).replicas;
  const token = await rig.token();
  const post = (url: string): Promise<Response> =>
    fetch(`${url}/api/v1/rooms/${room}/messages`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ text: 'hello', key: url }),
    });
  let first: Promise<Response> | undefined;
  let stopped: { pid: number; sinceMs: number } | undefined;
  await rig.sql.begin(async (tx) => {
    await tx`select from room where id = ${room} for update`;
    first = post(all[0]!.url);
    stopped = await stopWhoWaits(rig, tx, 'SIGSTOP');
  });
  const { pid, sinceMs } = stopped!;
  const other = all.find((replica) => replica.pid !== pid)!;
  expect((await post(other.url)).status).toBe(201);
  const postedMs = Math.round(performance.now() - sinceMs);
  process.kill(pid, 'SIGCONT');
  // Its transaction was ended: it says so, or has tried again.
  const { status } = await first!;
  const stored = await rig.sql<{ key: string }[]>`select key from message where room = ${room} and kind = 'message' order by "offset"`;
  expect(stored.map(({ key }) => key)).toEqual([other.url, ...(status < 300 ? [all[0]!.url] : [])]);
  return { postedMs };
}

/** Of all chunks of these hosts. */
async function digest(sql: Sql, hosts: readonly string[]): Promise<string> {
  const [row] = await sql<[{ digest: string }]>`
    select md5(string_agg(host || kind || minute || n || md5(data), ',' order by host, kind, minute)) as digest
    from sample_chunk where host = any(${`{${hosts.join()}}`}::text::uuid[])`;
  return row.digest;
}

/** How many samples are in chunks, each read. */
async function readAll(sql: Rig['sql'], hosts: readonly string[], fromMs: number): Promise<number> {
  let count = 0;
  const parts = { sql, names: new MetricNames() };
  for (const host of hosts) {
    const seen = new Set<number>();
    // oxlint-disable-next-line no-await-in-loop -- one host after the other
    for await (const page of readRaw(parts, { host, fromMs, toMs: thisMinute })) for (const { at } of page) seen.add(at);
    count += seen.size;
  }
  return count;
}

function continueIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGCONT');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
