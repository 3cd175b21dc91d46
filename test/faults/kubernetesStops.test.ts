/** Stops as people and clusters make them: announced early, while starting, told twice, all at once; by a replica whose clock is wrong. */

import { expect, onTestFinished } from 'vitest';
import type { ReplicaList } from '../../src/protocol/restCluster.ts';
import { broken } from '../support/faults/checker.ts';
import { putUnderLoad } from '../support/faults/load.ts';
import { printFigures } from '../support/faults/scale.ts';
import { makeRunFolder } from '../support/hostroom.ts';
import type { RunningPod } from '../support/kubernetes/deployment.ts';
import { podObject } from '../support/kubernetes/podObjects.ts';
import { startKubernetesRig } from '../support/kubernetes/rig.ts';
import { needs } from '../support/needs.ts';
import { until } from '../support/until.ts';
import { makeWrongClock } from '../support/wrongClock.ts';

const preStopMs = 60_000;

needs('linux', 'kubectl', 'nginx', 'redis', 'faketime').test(
  'pods that are deleted early, while they start, twice, all at once: clients go on, nothing is lost; a clock an hour ahead changes nothing',
  async () => {
    const clock = makeWrongClock(makeRunFolder(onTestFinished, 'hostroom-clock-'), 'later', 3_600);
    const { rig, api, deployment, scale, untilReady, connections } = await startKubernetesRig(onTestFinished, {
      replicas: 2,
      graceMs: 120_000,
      environment: { SHUTDOWN_GRACE: '6s' },
      laterEnvironment: clock.environment,
    });
    // Another hub in the same namespace, with the same labels.
    api.store.put('pods', podObject({ name: 'other-ccc-1', deployment: 'other', template: 'ccc', ready: true, terminating: false }));
    const load = await putUnderLoad(rig, { agents: 10, viewers: 10, intervalMs: 500 });
    const listed = async (): Promise<ReplicaList> => (await (await rig.person.call('GET', '/replicas')).json()) as ReplicaList;
    const isLast = (pod: RunningPod, count: number): Promise<boolean> =>
      until(() => deployment.gone.length === count && deployment.gone.at(-1) === pod, 'it is gone', 60_000);

    await until(async () => (await listed()).items.every(({ ready }) => ready), 'both know each other, whatever their clocks say');
    const { items, pending } = await listed();
    expect(items).toHaveLength(2);
    expect(pending).toEqual([]);
    expect(Math.abs(items[0]!.at - items[1]!.at)).toBeLessThan(60_000);

    // Long before SIGTERM: what waits for a hook is time to move clients.
    deployment.setPreStop(preStopMs);
    await scale(1);
    const early = await until(() => deployment.pods().find(({ terminating }) => terminating), 'one is to be deleted');
    await until(async () => (await listed()).items.some(({ draining }) => draining), 'it drains');
    await until(() => early.hub.output().includes('"drained"'), 'its clients have moved');
    expect(performance.now() - early.stoppedMs!).toBeLessThan(preStopMs);
    expect(early.ended).toBe(undefined);
    await until(async () => (await connections()).get(early.name) === 0, 'nobody is left');
    early.hub.signal('SIGTERM');
    await isLast(early, 1);
    expect(early.ended).toMatchObject({ code: 0 });
    deployment.setPreStop(0);

    await scale(2);
    const starting = await until(() => deployment.pods()[1], 'another one is started');
    await scale(1);
    await isLast(starting, 2);
    await load.untilAllAcknowledged();

    await scale(2);
    await untilReady(2);
    await scale(1);
    const told = await until(() => deployment.pods().find(({ terminating }) => terminating), 'one drains');
    await until(() => told.hub.output().includes('"draining'), 'it says so');
    // Anybody who asks twice is in a hurry.
    told.hub.signal('SIGTERM');
    await isLast(told, 3);
    expect(told.ended).toMatchObject({ code: 130 });
    await load.untilAllAcknowledged();

    await scale(0);
    await until(() => deployment.pods().length === 0, 'no pod is left', 60_000);
    await scale(1);
    await untilReady(1);
    await load.untilAllAcknowledged(120_000);
    const { verdict, shownAfterMs } = await load.settle();
    const codes = deployment.gone.map(({ ended }) => ended?.code ?? ended?.signal);
    printFigures('stops of pods', { codes, shownAfterMs, ...verdict });
    expect(broken(verdict)).toEqual({});
    expect(verdict.lost).toBe(0);
    expect(deployment.gone.at(-1)!.ended).toMatchObject({ code: 0 });
  },
  180_000,
);
