/** Scaling far out and in again at once, to nothing and back: pods are stopped while they start, and nothing is lost. */

import { expect, onTestFinished } from 'vitest';
import { broken } from '../support/faults/checker.ts';
import { putUnderLoad } from '../support/faults/load.ts';
import { residentBytes } from '../support/faults/rig.ts';
import { printFigures, sized } from '../support/faults/scale.ts';
import type { RunningPod } from '../support/kubernetes/deployment.ts';
import { startKubernetesRig } from '../support/kubernetes/rig.ts';
import { needs } from '../support/needs.ts';
import { until } from '../support/until.ts';

const many = sized(4, 20);
const count = sized(15, 100);

needs('linux', 'kubectl', 'nginx', 'redis').test(
  `kubectl scale 1 → ${many} → 2 at once, then to 0 and back`,
  async () => {
    const { rig, deployment, scale, untilReady } = await startKubernetesRig(onTestFinished, {
      environment: { SHUTDOWN_GRACE: '12s' },
      maxConnections: 300,
    });
    const load = await putUnderLoad(rig, { agents: count, viewers: count, intervalMs: 500 });
    await scale(many);
    await until(() => deployment.pods().length === many, 'all pods are started', 180_000);
    const memory = (): number => deployment.pods().reduce((sum, { hub }) => sum + residentBytes(hub.child.pid!), 0);
    const ready = deployment.pods().filter((pod) => pod.ready).length;
    const mostMiB = Math.round(memory() / 2 ** 20);
    await scale(2);
    await untilReady(2, 180_000);
    await load.untilAllAcknowledged();
    const cutShort = deployment.gone.filter(({ hub }) => !hub.output().includes('the hub is ready')).length;

    await scale(0);
    await until(() => deployment.pods().length === 0, 'no pod is left', 60_000);
    await scale(1);
    await untilReady(1, 120_000);
    await load.untilAllAcknowledged(120_000);
    const { verdict, shownAfterMs } = await load.settle();
    // Before it listens to signals, a program just ends by them.
    const codes = deployment.gone.map(({ ended }) => ended?.code ?? ended?.signal);
    const wasReady = ({ hub }: RunningPod): boolean => hub.output().includes('the hub is ready');
    const unclean = deployment.gone.filter((pod) => wasReady(pod) && pod.ended?.code !== 0).map(({ hub }) => hub.output().slice(-2_000));
    printFigures('scale far out and in, to 0 and back', {
      many,
      agents: count,
      viewers: count,
      ready,
      mostMiB,
      cutShort,
      codes,
      shownAfterMs,
      ...verdict,
    });
    expect(broken(verdict)).toEqual({});
    expect(verdict.lost).toBe(0);
    expect(unclean).toEqual([]);
    expect(new Set([...codes, 0, 'SIGTERM'])).toEqual(new Set([0, 'SIGTERM']));
  },
  sized(240_000, 600_000),
);
