/** R08: PostgreSQL answers nothing for a while, its connections stay open. */

import { expect, onTestFinished } from 'vitest';
import { needs } from '../support/needs.ts';
import { broken } from '../support/faults/checker.ts';
import { startRig, untilDelivered } from '../support/faults/rig.ts';
import { percentile, printFigures, sized } from '../support/faults/scale.ts';
import { until } from '../support/until.ts';

const agentCount = sized(40, 300);
const intervalMs = sized(250, 1_000);
const frozenMs = sized(15_000, 60_000);
const megabyte = 1024 * 1024;

needs('linux').test(
  `PostgreSQL is frozen for ${frozenMs / 1000} s: the live view goes on, nothing is lost, memory stays bounded`,
  async () => {
    const rig = await startRig(onTestFinished);
    const agents = await rig.load(agentCount, { intervalMs });
    const viewer = await rig.view(agents.slice(0, 10).map((agent) => agent.host()!));
    await until(() => agents.every((agent) => agent.acknowledged >= 8), 'the load runs', 60_000);
    // Its percentiles are those since they were last asked for.
    await rig.metric('nodejs_eventloop_lag_p99_seconds');
    const memoryBefore = rig.hubMemory();

    rig.postgres.freeze();
    onTestFinished(() => rig.postgres.thaw());
    const frozenAt = performance.now();
    viewer.takeLags();
    const seenBefore = viewer.seen;
    await until(async () => (await rig.metric('hostroom_degraded', '{dependency="postgresql"}')) === 1, 'the hub notices', frozenMs);
    const noticedMs = performance.now() - frozenAt;
    let memoryMost = 0;
    await until(
      () => {
        memoryMost = Math.max(memoryMost, rig.hubMemory());
        return performance.now() - frozenAt > frozenMs;
      },
      'the frost is over',
      frozenMs + 60_000,
    );
    const lags = viewer.takeLags();
    const seenFrozen = viewer.seen - seenBefore;
    const backlog = agents.reduce((sum, agent) => sum + agent.depth, 0);
    const lagP99Ms = (await rig.metric('nodejs_eventloop_lag_p99_seconds')) * 1000;
    expect(rig.isUp()).toBe(true);

    rig.postgres.thaw();
    const thawedAt = performance.now();
    await until(() => agents.reduce((sum, agent) => sum + agent.depth, 0) <= agentCount * 3, 'the backlog is delivered', 120_000);
    const recoveryMs = performance.now() - thawedAt;
    for (const agent of agents) agent.stopSampling();
    await untilDelivered(agents);
    const verdict = await rig.verdict(agents, [viewer]);
    printFigures('R08 PostgreSQL frozen', {
      agents: agentCount,
      frozenMs,
      noticedMs: Math.round(noticedMs),
      backlog,
      recoveryMs: Math.round(recoveryMs),
      eventLoopLagP99Ms: Math.round(lagP99Ms),
      memoryGrowthMB: Math.round((memoryMost - memoryBefore) / megabyte),
      seenWhileFrozen: seenFrozen,
      liveLagP99Ms: percentile(lags, 0.99),
      ...verdict,
    });
    expect(broken(verdict)).toEqual({});
    expect(verdict.lost).toBe(0);
    // Ten rooms, most of what is sampled in that time.
    expect(seenFrozen).toBeGreaterThan((10 * frozenMs) / intervalMs / 2);
    expect(memoryMost - memoryBefore).toBeLessThan(150 * megabyte);
    expect(lagP99Ms).toBeLessThan(1_000);
    expect(rig.isUp()).toBe(true);
  },
  sized(180_000, 600_000),
);
