/** R02, R03: a rolling update under load loses nothing and turns nobody away; a replica killed in its drain loses no more than one killed at any time. */

import { expect, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { broken } from '../support/faults/checker.ts';
import { describeGaps } from '../support/faults/gaps.ts';
import { putUnderLoad } from '../support/faults/load.ts';
import { percentile, printFigures, sized } from '../support/faults/scale.ts';
import { pageDelays, sdkDelays } from '../support/faults/viewer.ts';
import { startKubernetesRig } from '../support/kubernetes/rig.ts';
import { needs } from '../support/needs.ts';
import { until } from '../support/until.ts';

const replicas = sized(2, 3);
const count = sized(30, 300);
const intervalMs = sized(500, 1_000);
/** Short, so that each pod takes seconds: a stop in full is R25's. */
const shutdownGrace = sized('12s', '55s');

needs('linux', 'kubectl', 'nginx', 'redis').test(
  'R02 and R03: a rolling update turns nobody away and loses nothing; neither does a replica killed while it drains',
  async () => {
    const { rig, deployment, scale, untilReady, metrics } = await startKubernetesRig(onTestFinished, {
      replicas,
      environment: { SHUTDOWN_GRACE: shutdownGrace },
    });
    const isPage = (viewer: number): boolean => viewer % 2 === 0;
    const delays = (viewer: number): typeof sdkDelays => (isPage(viewer) ? pageDelays : sdkDelays);
    const load = await putUnderLoad(rig, { agents: count, viewers: count, intervalMs, delays });
    const newcomers = keepComing(rig.hub.url);
    const from = performance.now();
    deployment.rollout();
    await until(() => deployment.gone.length === replicas, 'all pods are new ones', 240_000);
    await untilReady(replicas);
    await load.untilAllAcknowledged();
    const rolloutMs = performance.now() - from;
    const { answers, refused } = newcomers.end();
    const breaks = load.viewers.map((viewer) => viewer.takeBreaks());
    const agentGaps = load.agents.flatMap((agent) => agent.takeOutages());
    const codes = deployment.gone.map(({ ended }) => ended?.code);

    deployment.setGrace(1_000);
    await scale(replicas - 1);
    await until(() => deployment.gone.length === replicas + 1, 'one more is gone', 60_000);
    const killed = deployment.gone.at(-1)!;
    await load.untilAllAcknowledged();
    const incomplete = async (): Promise<number[]> => [...(await metrics('hostroom_drain_incomplete')).values()];
    await until(async () => (await incomplete()).includes(1), 'another one tells that the drain was cut off', 60_000);
    const { verdict, shownAfterMs } = await load.settle();
    printFigures('R02 rolling update, R03 killed while draining', {
      replicas,
      agents: count,
      viewers: count,
      shutdownGrace,
      rolloutS: Math.round(rolloutMs / 100) / 10,
      exitCodes: codes,
      newcomers: answers,
      newcomersRefused: refused,
      gapsOfPages: describeGaps(breaks.filter((_, viewer) => isPage(viewer)).flat()),
      gapsOfSdks: describeGaps(breaks.filter((_, viewer) => !isPage(viewer)).flat()),
      agentGapMsP99: Math.round(percentile(agentGaps, 0.99)),
      shownAfterMs,
      ...verdict,
    });
    expect(broken(verdict)).toEqual({});
    expect(verdict.lost).toBe(0);
    expect(codes).toEqual(Array.from({ length: replicas }, () => 0));
    const failed = breaks.flat().flatMap((one) => one.failed);
    expect([...refused, ...failed].filter((message) => message.includes('server response'))).toEqual([]);
    expect(answers).toBeGreaterThan(10);
    expect(killed.ended?.signal).toBe('SIGKILL');
  },
  sized(300_000, 900_000),
);

/** New connections all the time: what becomes of their upgrades. */
function keepComing(url: string): { end(): { answers: number; refused: string[] } } {
  const address = `${url.replace('http', 'ws')}/connection/websocket`;
  let answers = 0;
  const refused: string[] = [];
  const fromMs = performance.now();
  const timer = setInterval(() => {
    const socket = new WebSocket(address);
    socket.on('open', () => {
      answers += 1;
      socket.close();
    });
    socket.on('error', ({ message }) => {
      answers += 1;
      refused.push(`${message} after ${Math.round(performance.now() - fromMs)} ms`);
    });
  }, 100);
  return {
    end() {
      clearInterval(timer);
      return { answers, refused };
    },
  };
}
