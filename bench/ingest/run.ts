/** Measures samples from arrival to commit: what they cost the hub and PostgreSQL, how long they take, how many there can be. */

import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { openDatabase } from '../../src/db/database.ts';
import { show, table } from '../support/statistics.ts';
import type { Commits, Ready } from './hub.ts';
import type { LoadResult, Order } from './load.ts';
import { batch, makeRivalTables, rivals } from './rivals.ts';
import { metricCount } from './samples.ts';

const hosts = Number(process.argv[2] ?? 1_000);
const seconds = Number(process.argv[3] ?? 20);
/** With the sealer at work, and nothing else: `sealing` at one sample a second, `saturated` as fast as they are answered. */
const sealing = process.argv[4];
if (sealing !== undefined && sealing !== 'sealing' && sealing !== 'saturated')
  throw new Error(`${sealing} is neither sealing nor saturated`);
const ticksPerSecond = 100;

/** CPU seconds used so far by a process, its children, and theirs that ended. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ')
    .map(Number);
  const [user = 0, system = 0, childrenUser = 0, childrenSystem = 0] = fields.slice(11, 15);
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  return (user + system + childrenUser + childrenSystem) / ticksPerSecond + children.reduce((sum, child) => sum + ownSeconds(child), 0);
}

function ownSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ')
    .map(Number);
  return ((fields[11] ?? 0) + (fields[12] ?? 0)) / ticksPerSecond;
}

const start = (file: string, ...args: string[]): ChildProcess => fork(join(import.meta.dirname, file), args);

function answer<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null): void => reject(new Error(`${child.spawnargs.join(' ')} ended with ${code}`));
    child.once('exit', ended);
    child.once('message', (message) => {
      child.off('exit', ended);
      resolve(message as T);
    });
  });
}

async function commits(hub: ChildProcess): Promise<Commits> {
  hub.send('commits');
  return answer<Commits>(hub);
}

interface Run extends Pick<Order, 'ratePerSecond' | 'inFlight'> {
  title: string;
  warmUpSeconds: number;
  seconds: number;
  isSealing: boolean;
}

async function measure(hub: ChildProcess, ready: Ready, { ratePerSecond, inFlight, warmUpSeconds, seconds, isSealing }: Run) {
  const load = start('load.ts');
  load.send({ hub: ready, ratePerSecond, inFlight, seconds: warmUpSeconds + seconds + 2 } satisfies Order);
  await answer(load);
  if (isSealing) hub.send('seal');
  await new Promise((resolve) => setTimeout(resolve, warmUpSeconds * 1000));
  await commits(hub);
  const began = { hub: ownSeconds(hub.pid!), postgres: cpuSeconds(ready.postmaster), load: ownSeconds(load.pid!), at: performance.now() };
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const tookS = (performance.now() - began.at) / 1000;
  const percent = (used: number): number => (used / tookS) * 100;
  const cpu = {
    hub: percent(ownSeconds(hub.pid!) - began.hub),
    postgres: percent(cpuSeconds(ready.postmaster) - began.postgres),
    load: percent(ownSeconds(load.pid!) - began.load),
  };
  const committed = await commits(hub);
  const result = await answer<LoadResult>(load);
  return { cpu, committed, result, perSecond: committed.rows / tookS };
}

const hub = start('hub.ts', String(hosts));
const ready = await answer<Ready>(hub);

const rows: string[][] = [];
const pace = { ratePerSecond: 1, inFlight: 0 };
const title = `${hosts} hosts × ${metricCount} metrics × 1 Hz`;
const flood = { title: 'saturated, 4 unanswered each', ratePerSecond: 0, inFlight: 4 };
const all: Run[] = [
  { title, ...pace, warmUpSeconds: 5, seconds, isSealing: false },
  { ...flood, warmUpSeconds: 5, seconds, isSealing: false },
];
/** What is measured then holds the sealing of a whole minute, or of as many as there are seconds for. */
const alone: Run = {
  ...(sealing === 'saturated' ? flood : { title, ...pace }),
  warmUpSeconds: 70,
  seconds: Math.max(60, seconds),
  isSealing: true,
};
// With a database of its own: what the others left would be sealed in its minute.
const runs: Run[] = sealing === undefined ? all : [{ ...alone, title: `${alone.title}, sealing` }];
for (const run of runs) {
  const { cpu, committed, result, perSecond } = await measure(hub, ready, run);
  rows.push([
    run.title,
    show(perSecond),
    `${show(cpu.hub)} + ${show(cpu.postgres)} = ${show(cpu.hub + cpu.postgres)}`,
    show(cpu.load),
    `${show(committed.p50 * 1000)} / ${show(committed.p99 * 1000)} / ${show(committed.max * 1000)}`,
    show(committed.rows / committed.batches),
    `${show(result.p50 * 1000)} / ${show(result.p99 * 1000)}`,
    `${result.acknowledged} of ${result.sent}, ${result.refused} refused`,
    show(committed.sealed),
  ]);
}
console.log(
  table(
    [
      'scenario',
      'samples/s',
      'CPU % of a core, hub + PostgreSQL',
      'load %',
      'commit ms p50 / p99 / max',
      'rows per commit',
      'reply ms p50 / p99',
      'answered',
      'host-minutes sealed',
    ],
    rows,
  ),
);

if (sealing === undefined) await compareRivals();
hub.disconnect();
await once(hub, 'exit');

async function compareRivals(): Promise<void> {
  const database = await openDatabase({ url: ready.databaseUrl, log: pino({ level: 'silent' }) });
  await makeRivalTables(database.sql);
  const cost = new Map(rivals.map(({ name }) => [name, { samples: 0, cpuS: 0, tookMs: [] as number[] }]));
  const rowsPerBatch = 50;
  /** The kernel counts CPU time in hundredths of a second: one batch alone would not show. */
  const batchesPerRound = 20;
  const cpuNow = (): number => cpuSeconds(ready.postmaster) + (process.cpuUsage().user + process.cpuUsage().system) / 1e6;
  for (let round = 0; round < 9; round++) {
    for (const { name, insert } of rivals) {
      const sums = cost.get(name)!;
      const batches = Array.from({ length: batchesPerRound }, () => batch(rowsPerBatch));
      const beforeS = cpuNow();
      const tookMs: number[] = [];
      for (const given of batches) {
        const began = performance.now();
        await insert(database.sql, given);
        tookMs.push(performance.now() - began);
      }
      // The first round warms up: plans, code, catalogue.
      if (round === 0) continue;
      sums.cpuS += cpuNow() - beforeS;
      sums.samples += batchesPerRound * rowsPerBatch;
      sums.tookMs.push(...tookMs);
    }
  }
  const compared = rivals.map(({ name }) => {
    const { samples, cpuS, tookMs } = cost.get(name)!;
    return [name, show((cpuS / samples) * 1e6), show(tookMs.toSorted((a, b) => a - b)[tookMs.length >> 1] ?? NaN)];
  });
  console.log(
    `\nbatches of ${rowsPerBatch} samples, interleaved\n\n${table(['stored as', 'CPU µs per sample, driver + PostgreSQL', 'ms per commit, median'], compared)}`,
  );
  await database.close();
}
