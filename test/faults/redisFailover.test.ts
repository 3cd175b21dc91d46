/** R07: the master of a Redis with Sentinels freezes under load, and thaws when another has taken its place. */

import { setTimeout as wait } from 'node:timers/promises';
import { expect, onTestFinished } from 'vitest';
import { needs } from '../support/needs.ts';
import { broken } from '../support/faults/checker.ts';
import { firstMarks, lagsOf, placeLoad } from '../support/faults/load.ts';
import { startRig } from '../support/faults/rig.ts';
import { isFull, percentile, printFigures, sized } from '../support/faults/scale.ts';
import { startSentinel, type RedisProcess } from '../support/redis.ts';
import { until } from '../support/until.ts';

const size = sized({ agents: 30, viewers: 12, intervalMs: 250 }, { agents: 300, viewers: 300, intervalMs: 1_000 });
const downAfterMs = sized(1_000, 3_000);
const replicas = 3;

/** Connections of hubs: those of Sentinels have names, those of the servers among each other have a type of their own. */
async function hubsOn(server: RedisProcess, type: 'normal' | 'pubsub'): Promise<number> {
  const list = String(await server.call('client', 'list', 'type', type));
  return list.split('\n').filter((line) => line !== '' && !/ name=sentinel-/.test(line) && !/ cmd=client\|list /.test(line)).length;
}

needs('linux', 'nginx', 'redis').test(
  'the master freezes: all replicas go to the new one, also those that only listen, and nobody goes back',
  async () => {
    const { url, servers, masterPort } = await startSentinel(onTestFinished, { downAfterMs });
    const rig = await startRig(onTestFinished, { replicas, environment: { REDIS_URL: url } });
    const { near, far, viewers, settle, untilAllAcknowledged } = await placeLoad(rig, size);
    const first = await masterPort();
    const old = servers.find(({ port }) => port === first)!;
    const next = servers.find(({ port }) => port !== first)!;
    await until(async () => (await hubsOn(old, 'pubsub')) >= replicas, 'all replicas listen', 30_000);
    await untilAllAcknowledged();
    lagsOf(viewers);

    old.freeze();
    const frozenMs = performance.now();
    await until(async () => (await masterPort()) === next.port, 'the Sentinels agree on another', 60_000);
    const failoverMs = performance.now() - frozenMs;
    await until(async () => (await hubsOn(next, 'pubsub')) >= replicas, 'all replicas listen to the new one', 60_000);
    const listeningMs = performance.now() - frozenMs;
    await until(async () => (await rig.metric('hostroom_degraded', '{dependency="redis"}')) === 0, 'all replicas have Redis', 60_000);
    const wholeMs = performance.now() - frozenMs;
    await untilAllAcknowledged();
    const lags = { near: lagsOf(near), far: lagsOf(far) };

    old.thaw();
    const thawedMs = performance.now();
    await until(async () => (await hubsOn(old, 'normal')) + (await hubsOn(old, 'pubsub')) === 0, 'no hub talks to the old one', 30_000);
    const leftAloneMs = performance.now() - thawedMs;
    // Sentinels take their time to tell it.
    const follows = async (): Promise<boolean> => /^role:slave/m.test(String(await old.call('info', 'replication')));
    if (isFull) await until(follows, 'the old one follows', 60_000);
    await wait(sized(300, 1_000));
    expect(await hubsOn(old, 'normal')).toBe(0);
    await untilAllAcknowledged();
    const { verdict, shownAfterMs } = await settle();
    const ms = (list: readonly number[], share: number): number => Math.round(percentile(list, share));
    printFigures('R07 frozen Redis master', {
      ...size,
      downAfterMs,
      failoverMs: Math.round(failoverMs),
      listeningMs: Math.round(listeningMs),
      wholeMs: Math.round(wholeMs),
      lagP99Ms: { near: ms(lags.near, 0.99), far: ms(lags.far, 0.99) },
      lagMostMs: { near: ms(lags.near, 1), far: ms(lags.far, 1) },
      leftAloneMs: Math.round(leftAloneMs),
      shownAfterMs,
      ...verdict,
    });
    expect(broken(verdict)).toEqual({});
    expect(verdict.lost).toBe(0);
    expect(verdict.marks).toBe(firstMarks(viewers));
    expect(listeningMs).toBeLessThan(sized(20_000, 10_000));
    expect(leftAloneMs).toBeLessThan(sized(5_000, 1_000));
  },
  sized(120_000, 600_000),
);
