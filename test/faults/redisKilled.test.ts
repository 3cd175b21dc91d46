/** R06: Redis is killed under load and comes back empty. */

import { setTimeout as wait } from 'node:timers/promises';
import { expect, onTestFinished } from 'vitest';
import { needs } from '../support/needs.ts';
import { broken } from '../support/faults/checker.ts';
import { firstMarks, lagsOf, placeLoad } from '../support/faults/load.ts';
import { startRig } from '../support/faults/rig.ts';
import { percentile, printFigures, sized } from '../support/faults/scale.ts';
import { startRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

const size = sized({ agents: 30, viewers: 12, intervalMs: 250 }, { agents: 300, viewers: 300, intervalMs: 1_000 });
const awayMs = sized(4_000, 20_000);
const replicas = 3;
/** A sample that is shown so soon came by the relay. */
const liveMs = 700;
/** While Redis is away nobody is further behind those on the agent's own replica; in the short form the machine has other work. */
const behindMs = sized(5_000, 2_000);

needs('linux', 'nginx', 'redis').test(
  `Redis is killed under load, and comes back empty after ${awayMs / 1000} s`,
  async () => {
    const redis = await startRedis(onTestFinished);
    const rig = await startRig(onTestFinished, { replicas, environment: { REDIS_URL: redis.url } });
    const { near, far, viewers, settle, untilAllAcknowledged } = await placeLoad(rig, size);
    const degraded = (): Promise<number> => rig.metric('hostroom_degraded', '{dependency="redis"}');
    await until(async () => (await degraded()) === 0, 'all replicas have Redis', 30_000);
    await untilAllAcknowledged();
    await wait(1_000);
    const before = { near: lagsOf(near), far: lagsOf(far) };

    await redis.kill();
    const killedMs = performance.now();
    await until(async () => (await degraded()) === replicas, 'all replicas say that Redis is away', 30_000);
    const noticedMs = performance.now() - killedMs;
    await wait(Math.max(0, awayMs - noticedMs));
    await untilAllAcknowledged();
    const away = { near: lagsOf(near), far: lagsOf(far) };

    await redis.start();
    const backMs = performance.now();
    await until(async () => (await degraded()) === 0, 'all replicas have Redis again', 30_000);
    const connectedMs = performance.now() - backMs;
    const returned: number[] = [];
    let repairedMs = 0;
    await until(
      async () => {
        await wait(500);
        const lags = lagsOf(far);
        returned.push(...lags);
        repairedMs = performance.now() - backMs;
        return lags.length > far.length && lags.every((lag) => lag < liveMs);
      },
      'everything comes by the relay again',
      60_000,
    );
    const { verdict, shownAfterMs } = await settle();
    const ms = (lags: readonly number[], share: number): number => Math.round(percentile(lags, share));
    printFigures('R06 Redis killed, back empty', {
      ...size,
      awayMs,
      noticedMs: Math.round(noticedMs),
      lagP99Ms: { near: ms(before.near, 0.99), far: ms(before.far, 0.99) },
      lagAwayP50Ms: { near: ms(away.near, 0.5), far: ms(away.far, 0.5) },
      lagAwayP99Ms: { near: ms(away.near, 0.99), far: ms(away.far, 0.99) },
      lagAwayMostMs: { near: ms(away.near, 1), far: ms(away.far, 1) },
      connectedMs: Math.round(connectedMs),
      repairedMs: Math.round(repairedMs),
      lagReturnedMostMs: ms(returned, 1),
      caughtUp: await rig.metric('hostroom_caught_up_total', '{kind="sample"}'),
      shownAfterMs,
      ...verdict,
    });
    expect(broken(verdict)).toEqual({});
    expect(verdict.lost).toBe(0);
    // Positions went on unchanged: nobody had to begin anew, nobody even lost a room.
    expect(verdict.marks).toBe(firstMarks(viewers));
    expect(viewers.flatMap((viewer) => viewer.takeOutages())).toEqual([]);
    // Each single sample: that none is missing is the verdict's.
    expect(away.far.length).toBeGreaterThan(far.length);
    expect(ms(away.far, 1) - ms(away.near, 1)).toBeLessThan(behindMs);
    expect(repairedMs).toBeLessThan(sized(20_000, 5_000));
  },
  sized(120_000, 600_000),
);
