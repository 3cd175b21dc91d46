/** R01 with one replica: kill -9 of the hub under load, again and again; a supervisor starts it anew. */

import { expect, onTestFinished } from 'vitest';
import { needs } from '../support/needs.ts';
import { broken } from '../support/faults/checker.ts';
import { startRig, untilDelivered } from '../support/faults/rig.ts';
import { percentile, printFigures, sized } from '../support/faults/scale.ts';
import { until } from '../support/until.ts';

const agentCount = sized(40, 300);
const intervalMs = sized(250, 1_000);
const rounds = sized(2, 20);

needs('linux').test(
  'the hub is killed under load: nothing acknowledged is missing, nothing twice, viewers are told of every hole',
  async () => {
    const rig = await startRig(onTestFinished);
    const agents = await rig.load(agentCount, { intervalMs });
    const viewer = await rig.view(agents.slice(0, 20).map((agent) => agent.host()!));
    await rig.realAgent();
    const backMs: number[] = [];
    const startMs: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const from = agents.map((agent) => agent.acknowledged);
      const atLeast = 2 + Math.random() * 5;
      await until(() => agents.every((agent, i) => agent.acknowledged > from[i]! + atLeast), 'samples are acknowledged', 60_000);
      const seenBefore = viewer.seen;
      await rig.killHub();
      const killedAt = performance.now();
      const before = agents.map((agent) => agent.acknowledged);
      await rig.startHub();
      const upAt = performance.now();
      startMs.push(upAt - killedAt);
      await Promise.all(
        agents.map(async (agent, i) => {
          await until(() => agent.acknowledged > before[i]!, 'the agent is back', 60_000);
          backMs.push(performance.now() - upAt);
        }),
      );
      await until(() => viewer.seen > seenBefore, 'the viewer is back', 60_000);
    }
    for (const agent of agents) agent.stopSampling();
    await untilDelivered(agents);
    const verdict = await rig.verdict(agents, [viewer]);
    printFigures('R01 kill -9 of the hub', {
      agents: agentCount,
      kills: rounds,
      hubStartMsMedian: Math.round(percentile(startMs, 0.5)),
      agentBackMsMedian: Math.round(percentile(backMs, 0.5)),
      agentBackMsP99: Math.round(percentile(backMs, 0.99)),
      ...verdict,
    });
    expect(broken(verdict)).toEqual({});
    expect(verdict.lost).toBe(0);
    await until(
      async () => {
        const rows = await rig.sql<{ holes: number }[]>`
          select (max(seq) - min(seq) + 1 - count(*))::int as holes from sample_hot
          where host in (select id from host where name not like 'load %') group by host, boot`;
        return rows.length === 1 && rows[0]!.holes === 0;
      },
      'the real agent has no hole',
      60_000,
    );
  },
  sized(180_000, 900_000),
);
