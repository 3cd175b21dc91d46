/** R29: Redis silently cuts readers whose output buffer is over its limit, again and again under load. */

import { setTimeout as wait } from 'node:timers/promises';
import { expect, onTestFinished } from 'vitest';
import { needs } from '../support/needs.ts';
import { broken } from '../support/faults/checker.ts';
import { firstMarks, lagsOf, placeLoad } from '../support/faults/load.ts';
import { startRig } from '../support/faults/rig.ts';
import { percentile, printFigures, sized } from '../support/faults/scale.ts';
import { startRedis } from '../support/redis.ts';
import { randomOf, seedFor } from '../support/seed.ts';
import { until } from '../support/until.ts';

const size = sized({ agents: 30, viewers: 12, intervalMs: 250 }, { agents: 300, viewers: 300, intervalMs: 1_000 });
const cuts = sized(3, 20);
const replicas = 3;
const limitBytes = 64 * 1024;

needs('linux', 'nginx', 'redis').test(
  'readers over the limit of their output buffer are cut: what they missed is found by positions and shown',
  async () => {
    const seed = seedFor('R29');
    const random = randomOf(seed);
    const redis = await startRedis(onTestFinished, { 'client-output-buffer-limit': `pubsub ${limitBytes} ${limitBytes} 1` });
    const rig = await startRig(onTestFinished, { replicas, environment: { REDIS_URL: redis.url } });
    const { far, viewers, settle, untilAllAcknowledged } = await placeLoad(rig, size);
    const readers = async (): Promise<Set<string>> =>
      new Set(String(await redis.call('client', 'list', 'type', 'pubsub')).match(/^id=\d+/gm));
    await untilAllAcknowledged();
    lagsOf(viewers);
    const caughtUp = (): Promise<number> => rig.metric('hostroom_caught_up_total', '{kind="sample"}');
    const caughtUpBefore = await caughtUp();
    let cut = 0;
    // A reader that is back before the next record has missed nothing.
    for (let round = 0; round < cuts || (round < 10 * cuts && (await caughtUp()) === caughtUpBefore); round++) {
      await wait(random() * 1_000);
      const before = await readers();
      const channels = (await redis.call('pubsub', 'channels')) as string[];
      // More in one piece than may wait for a reader; what it says is read by nobody.
      await redis.call('publish', channels[Math.floor(random() * channels.length)]!, 'x'.repeat(2 * limitBytes));
      const gone = await until(async () => before.difference(await readers()).size, 'Redis has cut a reader');
      cut += gone;
      await untilAllAcknowledged();
    }
    await wait(sized(0, 6_000));
    const lags = lagsOf(far);
    const { verdict, shownAfterMs } = await settle();
    const found = (await caughtUp()) - caughtUpBefore;
    printFigures('R29 readers cut by Redis', {
      seed,
      ...size,
      cut,
      caughtUp: found,
      lagMedianMs: Math.round(percentile(lags, 0.5)),
      lagP99Ms: Math.round(percentile(lags, 0.99)),
      lagMostMs: Math.round(percentile(lags, 1)),
      shownAfterMs,
      ...verdict,
    });
    expect(broken(verdict)).toEqual({});
    expect(verdict.lost).toBe(0);
    expect(verdict.marks).toBe(firstMarks(viewers));
    expect(found).toBeGreaterThan(0);
    expect(Math.max(...lags)).toBeLessThan(6_000);
  },
  sized(120_000, 600_000),
);
