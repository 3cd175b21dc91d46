/** R05: kill -9 of PostgreSQL with all its children under load; it comes back later. */

import { expect, onTestFinished } from 'vitest';
import { needs } from '../support/needs.ts';
import { broken } from '../support/faults/checker.ts';
import { startRig, untilDelivered } from '../support/faults/rig.ts';
import { percentile, printFigures, sized } from '../support/faults/scale.ts';
import { until } from '../support/until.ts';

const agentCount = sized(40, 300);
const viewerCount = sized(5, 100);
const intervalMs = sized(250, 1_000);
const awayMs = sized(5_000, 20_000);

needs('linux').test(
  `PostgreSQL is killed under load, and comes back after ${awayMs / 1000} s`,
  async () => {
    const rig = await startRig(onTestFinished);
    const agents = await rig.load(agentCount, { intervalMs });
    const real = await Promise.all([rig.realAgent(), rig.realAgent(), rig.realAgent()]);
    const hosts = agents.map((agent) => agent.host()!);
    const viewers = await Promise.all(
      Array.from({ length: viewerCount }, (_, i) => rig.view([0, 1, 2].map((k) => hosts[(i * 3 + k) % hosts.length]!))),
    );
    const seen = (): number => viewers.reduce((sum, viewer) => sum + viewer.seen, 0);
    const waiting = (): number => agents.reduce((sum, agent) => sum + agent.depth, 0);
    await until(() => agents.every((agent) => agent.acknowledged >= 8), 'the load runs', 60_000);

    await rig.postgres.kill();
    const seenBefore = seen();
    for (const viewer of viewers) viewer.takeLags();
    await new Promise((resolve) => setTimeout(resolve, awayMs));
    const seenAway = seen() - seenBefore;
    const lags = viewers.flatMap((viewer) => viewer.takeLags());
    expect(rig.isUp()).toBe(true);
    const isDegraded = await rig.metric('hostroom_degraded', '{dependency="postgresql"}');
    const backlog = waiting();

    await rig.postgres.start();
    const backMs = performance.now();
    // What lives on the way at any time is no backlog.
    await until(() => waiting() <= agentCount * 3, 'the backlog is delivered', 120_000);
    const drainedMs = performance.now() - backMs;
    for (const agent of agents) agent.stopSampling();
    await untilDelivered(agents);
    const verdict = await rig.verdict(agents, viewers);
    printFigures('R05 kill -9 of PostgreSQL', {
      agents: agentCount,
      realAgents: real.length,
      viewers: viewerCount,
      awayMs,
      backlog,
      recoveryMs: Math.round(drainedMs),
      drainedTimesRealTime: Math.round((backlog + (drainedMs / intervalMs) * agentCount) / ((drainedMs / intervalMs) * agentCount)),
      seenWhileAway: seenAway,
      liveLagP99Ms: percentile(lags, 0.99),
      ...verdict,
    });
    expect(broken(verdict)).toEqual({});
    expect(verdict.lost).toBe(0);
    expect(isDegraded).toBe(1);
    expect(backlog).toBeGreaterThan(agentCount);
    expect(seenAway).toBeGreaterThan(viewerCount);
    expect(drainedMs).toBeLessThan(60_000);
    expect(rig.isUp()).toBe(true);
    // The real agents went on as one process each: nothing between their first and their last is missing.
    await until(
      async () => {
        const rows = await rig.sql<{ holes: number }[]>`
        select max(seq) - min(seq) + 1 - count(*) as holes from sample_hot
        where host in (select id from host where name not like 'load %') group by host, boot`;
        return rows.length === real.length && rows.every((row) => Number(row.holes) === 0);
      },
      'the real agents have no hole',
      60_000,
    );
  },
  sized(180_000, 600_000),
);
