/** R16: one of three replicas stands still for three seconds, as under a long garbage collection or a throttled processor. */

import process from 'node:process';
import { setTimeout as wait } from 'node:timers/promises';
import { expect, onTestFinished } from 'vitest';
import { needs } from '../support/needs.ts';
import { broken } from '../support/faults/checker.ts';
import { readCluster } from '../support/faults/cluster.ts';
import { ghostsIn } from '../support/faults/ghosts.ts';
import { putUnderLoad } from '../support/faults/load.ts';
import { startRig } from '../support/faults/rig.ts';
import { percentile, printFigures, sized } from '../support/faults/scale.ts';
import { until } from '../support/until.ts';

const size = sized({ agents: 30, viewers: 15, intervalMs: 250 }, { agents: 300, viewers: 300, intervalMs: 1_000 });
const stallMs = 3_000;

needs('linux', 'nginx', 'redis').test(
  'a replica that stands still for 3 s: the others go on, nobody leaves, nothing is missing after',
  async () => {
    const rig = await startRig(onTestFinished, { replicas: 3 });
    const load = await putUnderLoad(rig, size);
    const { agents, viewers } = load;
    await load.untilAllAcknowledged();
    const seen = (): number => viewers.reduce((sum, viewer) => sum + viewer.seen, 0);
    const breaks = (): number => viewers.reduce((sum, viewer) => sum + viewer.breaks, 0);
    const breaksBefore = breaks();
    for (const viewer of viewers) viewer.takeLags();
    for (const agent of agents) agent.takeOutages();

    const stalled = readCluster(rig.folder).replicas[1]!;
    const seenBefore = seen();
    const stalledMs = performance.now();
    process.kill(stalled.pid!, 'SIGSTOP');
    onTestFinished(() => continueIfThere(stalled.pid!));
    // The viewers of the others see more than each of their hosts once.
    await until(() => seen() - seenBefore > viewers.length * 3, 'the others go on');
    const othersWentOnMs = performance.now() - stalledMs;
    await wait(Math.max(0, stallMs - othersWentOnMs));
    const seenMeanwhile = seen() - seenBefore;
    process.kill(stalled.pid!, 'SIGCONT');

    await load.untilAllAcknowledged();
    const lags = viewers.flatMap((viewer) => viewer.takeLags());
    const outages = agents.flatMap((agent) => agent.takeOutages());
    await until(async () => (await ghostsIn(viewers, agents)) === 0, 'everyone is shown once', 60_000);
    const { verdict } = await load.settle();
    const [left] = await rig.sql<[{ count: number }]>`
      select count(*)::int as count from message where kind = 'event' and body ->> 'what' = 'agent_left'`;
    printFigures('R16 a replica stands still', {
      ...size,
      stallMs,
      seenMeanwhile,
      othersWentOnMs: Math.round(othersWentOnMs),
      lagMsMedian: Math.round(percentile(lags, 0.5)),
      lagMsMost: Math.round(Math.max(...lags)),
      agentsReconnected: outages.length,
      viewersReconnected: breaks() - breaksBefore,
      agentsShownAsGone: left.count,
      ...verdict,
    });
    expect(readCluster(rig.folder).replicas.find(({ name }) => name === stalled.name)?.pid).toBe(stalled.pid);
    expect(left.count).toBe(0);
    expect(breaks()).toBe(breaksBefore);
    expect(outages).toEqual([]);
    expect(broken(verdict)).toEqual({});
    expect(verdict.lost).toBe(0);
  },
  sized(120_000, 400_000),
);

function continueIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGCONT');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
