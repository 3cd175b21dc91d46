/** R28: a rolling update from the last release, and the rollback to it, under load of agents of both versions. */

import { expect, onTestFinished } from 'vitest';
import { partsOf } from '../support/faults/agentParts.ts';
import { broken } from '../support/faults/checker.ts';
import { makeLoad } from '../support/faults/load.ts';
import { misunderstoodBy } from '../support/faults/misunderstood.ts';
import { isFull, percentile, printFigures, sized } from '../support/faults/scale.ts';
import { judgeTalk, type StoredMessage } from '../support/faults/talkChecker.ts';
import { startReader, startTalker } from '../support/faults/talkers.ts';
import type { Viewer } from '../support/faults/viewer.ts';
import { makeRunFolder } from '../support/hostroom.ts';
import { startKubernetesRig } from '../support/kubernetes/rig.ts';
import { needs } from '../support/needs.ts';
import { unpackPrevious } from '../support/previous.ts';
import { until } from '../support/until.ts';

const replicas = 3;
/** Half of the agents are of each version. */
const count = sized(30, 300);
const intervalMs = sized(500, 1_000);
const talkerCount = 3;
const shutdownGrace = sized('12s', '55s');
const roomsEach = 3;
const viewersAtOnce = 25;

needs('linux', 'kubectl', 'nginx', 'redis').test(
  'R28: replicas and agents of two versions work together through an update and its rollback',
  async () => {
    const previous = unpackPrevious(makeRunFolder(onTestFinished, 'hostroom-versions-'), 'release');
    const { rig, deployment, untilReady } = await startKubernetesRig(onTestFinished, {
      replicas,
      root: previous.root,
      environment: { SHUTDOWN_GRACE: shutdownGrace },
    });
    const misunderstood = watchPods(() => deployment.pods().map(({ name, hub }) => [name, hub.opsUrl]));
    const older = await rig.load(count / 2, { intervalMs, parts: await partsOf(previous.root) });
    const agents = [...older, ...(await rig.load(count / 2, { intervalMs }))];
    const watched = agents.map((_, i) => Array.from({ length: roomsEach }, (__, k) => agents[(i * roomsEach + k) % count]!));
    const viewers: Viewer[] = [];
    for (let from = 0; from < count; from += viewersAtOnce) {
      const some = watched.slice(from, from + viewersAtOnce).map((hosts) => rig.view(hosts.map((agent) => agent.host()!)));
      // oxlint-disable-next-line no-await-in-loop -- people do not all come at once
      viewers.push(...(await Promise.all(some)));
    }
    const load = makeLoad(rig, agents, viewers, watched);
    const answer = await rig.person.call('POST', '/hosts', { name: 'talk' });
    const { id: room } = (await answer.json()) as { id: string };
    const reader = await startReader(rig.hub.url, rig.token, room);
    onTestFinished(() => reader.close());
    const talk = startTalks(rig.hub.url, rig.token, room);

    const turn = async (root?: string): Promise<object> => {
      const before = deployment.gone.length;
      const from = performance.now();
      deployment.rollout({}, root);
      await until(() => deployment.gone.length === before + replicas, 'all pods are of the other version', sized(180_000, 420_000));
      await untilReady(replicas);
      await load.untilAllAcknowledged();
      const gaps = viewers.flatMap((viewer) => viewer.takeOutages());
      const agentGaps = agents.flatMap((agent) => agent.takeOutages());
      return {
        tookS: Math.round((performance.now() - from) / 100) / 10,
        exitCodes: deployment.gone.slice(before).map(({ ended }) => ended?.code),
        viewerBreaks: gaps.length,
        viewerGapMsMedian: Math.round(percentile(gaps, 0.5)),
        viewerGapMsP99: Math.round(percentile(gaps, 0.99)),
        agentGapMsP99: Math.round(percentile(agentGaps, 0.99)),
      };
    };
    const update = await turn();
    const rollback = await turn(previous.root);
    const chunks = async (): Promise<number> => (await rig.sql<[{ n: number }]>`select count(*)::int as n from sample_chunk`)[0].n;
    // A minute is sealed a minute after its end.
    if (isFull) await until(async () => (await chunks()) > 0, 'minutes of both versions are sealed', 300_000);
    const posted = await talk.end();
    const { verdict, shownAfterMs } = await load.settle();
    const stored = await rig.sql<StoredMessage[]>`
      select "offset"::int, key from message where room = ${room} and kind = 'message' order by "offset"`;
    const top = stored.at(-1)!.offset;
    // What is missing is for the checker to tell.
    await until(() => reader.read.some((item) => 'offset' in item && item.offset === top), 'all is read', 30_000).catch(() => undefined);
    const talked = judgeTalk({ posted, stored, readers: [reader.read] });
    printFigures('R28 update from the last release and rollback', {
      previous: previous.commit.slice(0, 7),
      replicas,
      agents: count,
      viewers: count,
      shutdownGrace,
      update,
      rollback,
      misunderstood: misunderstood.end(),
      chunks: await chunks(),
      messages: talked,
      shownAfterMs,
      ...verdict,
    });
    expect(broken(verdict)).toEqual({});
    expect(verdict.lost).toBe(0);
    expect(talked.posted).toBe(talked.stored);
    expect(Object.entries(talked.faults).filter(([, faults]) => faults > 0)).toEqual([]);
    const cleanly = { exitCodes: Array.from({ length: replicas }, () => 0) };
    expect([update, rollback]).toMatchObject([cleanly, cleanly]);
    expect(misunderstood.end()).toEqual({});
  },
  sized(400_000, 1_500_000),
);

/** What each pod has not understood of the others, looked at all the time, for a pod's counts go with it. */
function watchPods(pods: () => [name: string, opsUrl: string][]): { end(): Record<string, object> } {
  const found: Record<string, object> = {};
  const look = async ([name, opsUrl]: [string, string]): Promise<void> => {
    const counts = await misunderstoodBy(opsUrl);
    if (Object.keys(counts).length > 0) found[name] = counts;
  };
  const timer = setInterval(() => void Promise.all(pods().map(look)), 1_000);
  onTestFinished(() => clearInterval(timer));
  return { end: () => found };
}

/** People who go on talking through the balancer until the end. */
function startTalks(
  hubUrl: string,
  token: () => Promise<string>,
  room: string,
): { end(): Promise<{ key: string; acknowledged: boolean }[]> } {
  let isOver = false;
  const posted: { key: string; acknowledged: boolean }[] = [];
  const talk = async (talker: number): Promise<void> => {
    for (let turn = 0; !isOver; turn++) {
      const few = startTalker(hubUrl, token, { room, name: `talker ${talker} ${turn}`, count: 12 });
      // oxlint-disable-next-line no-await-in-loop -- a few at a time, on a new connection each
      await few.done;
      posted.push(...few.posted);
      few.close();
      // oxlint-disable-next-line no-await-in-loop -- a person pauses
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    }
  };
  const all = Promise.all(Array.from({ length: talkerCount }, (_, talker) => talk(talker)));
  onTestFinished(() => void (isOver = true));
  return {
    async end() {
      isOver = true;
      await all;
      return posted;
    },
  };
}
