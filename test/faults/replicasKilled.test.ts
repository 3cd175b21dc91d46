/** R01 with three replicas: kill -9 of one of them under load, again and again, at random moments. */

import { setTimeout as wait } from 'node:timers/promises';
import { expect, onTestFinished } from 'vitest';
import { needs } from '../support/needs.ts';
import { broken } from '../support/faults/checker.ts';
import { killReplica, untilReplicasReady } from '../support/faults/cluster.ts';
import { ghostsIn } from '../support/faults/ghosts.ts';
import { putUnderLoad } from '../support/faults/load.ts';
import { startRig } from '../support/faults/rig.ts';
import { isFull, percentile, printFigures, sized } from '../support/faults/scale.ts';
import { randomOf, seedFor } from '../support/seed.ts';
import { until } from '../support/until.ts';

const size = sized({ agents: 40, viewers: 20, intervalMs: 250 }, { agents: 300, viewers: 300, intervalMs: 1_000 });
const rounds = sized(1, 20);
const replicas = 3;

needs('linux', 'nginx', 'redis').test(
  'one of three replicas is killed under load: agents and viewers go to the others, nothing acknowledged is missing, nothing twice',
  async () => {
    const seed = seedFor('R01');
    const random = randomOf(seed);
    const rig = await startRig(onTestFinished, { replicas });
    const load = await putUnderLoad(rig, size);
    const { agents, viewers } = load;
    const ghostsGoneMs: number[] = [];
    const agentBackMs: number[] = [];
    const viewerBackMs: number[] = [];
    const lagMs: number[] = [];
    for (let round = 0; round < rounds; round++) {
      await load.untilAllAcknowledged();
      await wait(random() * 2_000);
      for (const viewer of viewers) viewer.takeLags();
      killReplica(rig.folder, random());
      const killedMs = performance.now();
      await load.untilAllAcknowledged();
      await untilReplicasReady(rig.folder, replicas);
      if (isFull && round % 7 === 0) {
        // Not more often: hubs limit how much one connection asks.
        const isClear = async (): Promise<boolean> => wait(500).then(async () => (await ghostsIn(viewers, agents)) === 0);
        await until(isClear, 'nobody is shown who is gone', 60_000);
        ghostsGoneMs.push(performance.now() - killedMs);
      }
      agentBackMs.push(...agents.flatMap((agent) => agent.takeOutages()));
      viewerBackMs.push(...viewers.flatMap((viewer) => viewer.takeOutages()));
      lagMs.push(...viewers.flatMap((viewer) => viewer.takeLags()));
    }
    const { verdict, shownAfterMs } = await load.settle();
    printFigures('R01 kill -9 of one of three replicas', {
      seed,
      ...size,
      kills: rounds,
      agentsMoved: agentBackMs.length,
      agentBackMsMedian: Math.round(percentile(agentBackMs, 0.5)),
      agentBackMsP99: Math.round(percentile(agentBackMs, 0.99)),
      viewersMoved: viewerBackMs.length,
      viewerBackMsMedian: Math.round(percentile(viewerBackMs, 0.5)),
      viewerBackMsP99: Math.round(percentile(viewerBackMs, 0.99)),
      shownLagMsP99: Math.round(percentile(lagMs, 0.99)),
      shownLagMsMost: Math.round(Math.max(...lagMs)),
      ghostsGoneMsMost: Math.round(Math.max(...ghostsGoneMs)),
      shownAfterMs,
      ...verdict,
    });
    expect(broken(verdict)).toEqual({});
    expect(verdict.lost).toBe(0);
    expect(agentBackMs.length).toBeGreaterThan(0);
    expect(viewerBackMs.length).toBeGreaterThan(0);
    expect(percentile(agentBackMs, 0.99)).toBeLessThan(5_000);
    expect(percentile(viewerBackMs, 0.99)).toBeLessThan(5_000);
    if (isFull) expect(Math.max(...ghostsGoneMs)).toBeLessThan(20_000);
  },
  sized(120_000, 1_200_000),
);
