/**
 * `npm run bench -- scale`: scale-out and scale-in of fleets far larger than any machine at hand, on the very functions that decide in the
 * hub (`src/cluster/share.ts`, `src/cluster/pace.ts`). Options: --seed=N --connections=1000000
 */

import { parseArgs } from 'node:util';
import { drainBudget, fleetShedPerSecond, shedPerSecond, admissionPerSecond } from '../../src/cluster/pace.ts';
import { closeNow, drainEndMs } from '../../src/cluster/pace.ts';
import { table } from '../support/statistics.ts';
import { countReceivers, decideShare } from '../../src/cluster/share.ts';
import { Fleet, tickMs } from './fleet.ts';
import { randomOf } from '../../test/support/seed.ts';

const { values } = parseArgs({ options: { seed: { type: 'string' }, connections: { type: 'string', default: '1000000' } } });
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const million = Number(values.connections);
/** As the manifests have it. */
const graceMs = 115_000;
const giveUpMs = 3_600_000;

/** Connections as a proxy that knows nothing of load spreads them. */
function spread(total: number, replicas: number): number[] {
  return Array.from({ length: replicas }, (_, at) => Math.floor(total / replicas) + (at < total % replicas ? 1 : 0));
}

const maxOverMean = (fleet: Fleet): number => {
  const counts = fleet.replicas.filter(({ isDraining }) => !isDraining).map(({ connections }) => connections);
  return Math.max(...counts) / (counts.reduce((sum, count) => sum + count, 0) / counts.length);
};

/** New, empty replicas beside those that hold everybody. Seconds count from the moment they are ready. */
function scaleOut(total: number, from: number, to: number, tries: number): Figures {
  const fleet = new Fleet([...spread(total, from), ...Array.from({ length: to - from }, () => 0)], { random: randomOf(seed), tries });
  let tokens = 0;
  let within15: number | undefined;
  let restMs: number | undefined;
  let fastest = 0;
  while (restMs === undefined && fleet.nowMs < giveUpMs) {
    if (fleet.isSecond) {
      const before = fleet.moved;
      const views = fleet.replicas.map((replica) => ({ own: replica.connections, others: fleet.othersOf(replica) }));
      const budget = fleetShedPerSecond(countReceivers(views[0]!));
      tokens = Math.min(budget, tokens + budget);
      for (const [at, replica] of fleet.replicas.entries()) {
        const view = { ...views[at]!, expected: to, unchangedMs: fleet.nowMs, readyMs: giveUpMs, versions: 1, isAnyDraining: false };
        const verdict = decideShare(view, replica.isShedding);
        replica.isShedding = verdict.act === 'shed';
        if (verdict.act !== 'shed') continue;
        const count = Math.min(verdict.surplus, Math.floor(shedPerSecond(replica.connections)), tokens);
        tokens -= count;
        fleet.close(replica, count);
      }
      fastest = Math.max(fastest, fleet.moved - before);
      within15 ??= maxOverMean(fleet) <= 1.15 ? fleet.nowMs : undefined;
      if (fleet.nowMs > 20_000 && !fleet.replicas.some(({ isShedding }) => isShedding)) restMs = fleet.nowMs;
    }
    fleet.pass();
  }
  for (let tick = 0; tick < 40; tick++) fleet.pass();
  const needed = Math.round((total * (to - from)) / to);
  return {
    connections: total,
    replicas: `${from} → ${to}`,
    proxy: tries > 1 ? 'offers on' : 'passes 503 on',
    'within 15 % after s': within15 === undefined ? 'not' : within15 / 1_000,
    'at rest after s': restMs === undefined ? 'not' : restMs / 1_000,
    'max/mean': maxOverMean(fleet).toFixed(3),
    'moved/needed': (fleet.moved / needed).toFixed(2),
    'fastest, moves/s': fastest,
    'most taken by one, /s': fleet.busiest,
  };
}

/** Replicas that are told to stop at once, or one every `apartMs`. */
function scaleIn(total: number, from: number, to: number, apartMs = 0): Figures {
  const fleet = new Fleet(spread(total, from), { random: randomOf(seed), tries: 3 });
  const budget = drainBudget(graceMs);
  const random = randomOf(seed + 1);
  const going = fleet.replicas.slice(to);
  let atOnce = 0;
  while (going.some(({ emptyMs }) => emptyMs === undefined) && fleet.nowMs < giveUpMs) {
    const stopping = going.filter((_, at) => fleet.nowMs >= at * apartMs);
    const draining = stopping.reduce((sum, { row }) => sum + row.connections, 0);
    for (const [at, replica] of stopping.entries()) {
      replica.isDraining = true;
      const begunMs = at * apartMs + budget.settleMs;
      if (fleet.nowMs < begunMs || replica.emptyMs !== undefined) continue;
      const view = { draining: Math.max(draining, replica.connections), survivors: from - stopping.length };
      const latestMs = begunMs + budget.windowMs;
      replica.endMs = drainEndMs(view, { nowMs: fleet.nowMs, endMs: replica.endMs || begunMs + 5_000, latestMs });
      const count = closeNow({ left: replica.connections, nowMs: fleet.nowMs, endMs: replica.endMs, tickMs }, random());
      fleet.close(replica, count);
      if (replica.connections === 0) replica.emptyMs = fleet.nowMs - at * apartMs;
    }
    atOnce = Math.max(atOnce, stopping.filter(({ emptyMs }) => emptyMs === undefined).length);
    fleet.pass();
  }
  const tookMs = going.map(({ emptyMs }) => emptyMs ?? Infinity);
  return {
    connections: total,
    replicas: `${from} → ${to}`,
    stops: apartMs === 0 ? 'all at once' : `one every ${apartMs / 1_000} s`,
    'empty after s': Math.max(...tookMs) / 1_000,
    'of a grace of s': graceMs / 1_000,
    'draining at once': atOnce,
    'most taken by one, /s': fleet.busiest,
    'in one burst it were': Math.round((total * (from - to)) / from / to),
    'admitted by one, /s': admissionPerSecond,
  };
}

type Figures = Record<string, string | number>;
function show(rows: readonly Figures[]): void {
  console.log(
    table(
      Object.keys(rows[0]!),
      rows.map((row) => Object.values(row).map(String)),
    ),
  );
}

console.log(`seed ${seed}; rows every 2 s, clients back within 1 s, decisions every second`);
console.log('\nScale-out: time from the moment the new replicas are ready (20 s of it are the wait for a set of replicas that stays)');
show([
  scaleOut(600, 1, 3, 3),
  scaleOut(10_000, 1, 2, 3),
  scaleOut(10_000, 1, 2, 1),
  scaleOut(50_000, 5, 10, 3),
  scaleOut(million, 1_000, 1_500, 3),
  scaleOut(million, 1_000, 2_000, 3),
  scaleOut(million, 1_000, 2_000, 1),
]);
console.log('\nScale-in: time from SIGTERM (10 s of it are the wait for the load balancers)');
show([
  scaleIn(600, 3, 1),
  scaleIn(20_000, 10, 2),
  scaleIn(40_000, 10, 2),
  scaleIn(million, 2_000, 1_000),
  scaleIn(million, 1_000, 100),
  scaleIn(million, 1_000, 990, 15_000),
]);
