/** Many agents and viewers on one rig, and what became of all they sent and saw. */

import type { Verdict } from './checker.ts';
import { readCluster } from './cluster.ts';
import type { LoadAgent } from './loadAgent.ts';
import { untilDelivered, type Rig } from './rig.ts';
import { until } from '../until.ts';
import type { Delays, Viewer } from './viewer.ts';

export interface LoadSize {
  agents: number;
  /** Each sees three hosts. */
  viewers: number;
  intervalMs: number;
  /** Of each viewer's SDK, by its index; default: short ones. */
  delays?: (viewer: number) => Delays;
}

export interface Load {
  agents: LoadAgent[];
  viewers: Viewer[];
  /** The newest of each agent was acknowledged since the call. */
  untilAllAcknowledged(withinMs?: number): Promise<void>;
  /** Ends the sampling, waits until all is stored and shown, compares. */
  settle(): Promise<{ verdict: Verdict; shownAfterMs: number }>;
}

const roomsEach = 3;
const atOnce = 25;

/** Through the balancer; resolves when all agents are acknowledged and all viewers are in their rooms. */
export async function putUnderLoad(rig: Rig, { agents: agentCount, viewers: viewerCount, intervalMs, delays }: LoadSize): Promise<Load> {
  const agents = await rig.load(agentCount, { intervalMs });
  const watched = Array.from({ length: viewerCount }, (_, i) =>
    Array.from({ length: roomsEach }, (__, k) => agents[(i * roomsEach + k) % agentCount]!),
  );
  const viewers: Viewer[] = [];
  for (let from = 0; from < viewerCount; from += atOnce) {
    const some = watched.slice(from, from + atOnce).map((hosts, i) => {
      const ids = hosts.map((agent) => agent.host()!);
      return rig.view(ids, rig.hub.url, delays?.(from + i));
    });
    // oxlint-disable-next-line no-await-in-loop -- people do not all come at once
    viewers.push(...(await Promise.all(some)));
  }
  return makeLoad(rig, agents, viewers, watched);
}

/** `watched[i]` are the agents of `viewers[i]`, in the order of its views. */
export function makeLoad(rig: Rig, agents: LoadAgent[], viewers: Viewer[], watched: readonly (readonly LoadAgent[])[]): Load {
  return {
    agents,
    viewers,
    async untilAllAcknowledged(withinMs = 60_000) {
      const before = agents.map((agent) => agent.acknowledged);
      await until(() => agents.every((agent, i) => agent.acknowledged > before[i]!), 'samples of all are acknowledged', withinMs);
    },
    async settle() {
      for (const agent of agents) agent.stopSampling();
      await untilDelivered(agents);
      const deliveredMs = performance.now();
      const newest = new Map(agents.map((agent) => [agent, agent.ledger().at(-1)!.seq]));
      const isShown = (viewer: Viewer, hosts: readonly LoadAgent[]): boolean =>
        viewer.views().every((view, k) => {
          const last = view.at(-1);
          return last !== undefined && 'seq' in last && last.seq === newest.get(hosts[k]!);
        });
      // What is not shown is for the checker to tell.
      await until(() => viewers.every((viewer, i) => isShown(viewer, watched[i]!)), 'all is shown', 30_000).catch(() => undefined);
      const shownAfterMs = Math.round(performance.now() - deliveredMs);
      return { verdict: await rig.verdict(agents, viewers, true), shownAfterMs };
    },
  };
}

export interface PlacedLoad extends Load {
  /** On the replica of their hosts' agents. */
  near: Viewer[];
  /** On another one. */
  far: Viewer[];
}

/** Past the balancer, an equal share on each replica: half of the viewers see hosts of their own replica, half those of the next. */
export async function placeLoad(rig: Rig, { agents: agentCount, viewers: viewerCount, intervalMs }: LoadSize): Promise<PlacedLoad> {
  const urls = readCluster(rig.folder).replicas.map(({ url }) => url);
  const shares = await Promise.all(urls.map((hubUrl) => rig.load(agentCount / urls.length, { intervalMs, hubUrl })));
  const placed = await Promise.all(
    Array.from({ length: viewerCount }, async (_, i) => {
      const isNear = i % 2 === 0;
      const replica = (i >> 1) % urls.length;
      const share = shares[isNear ? replica : (replica + 1) % urls.length]!;
      const watched = Array.from({ length: roomsEach }, (__, k) => share[(i * roomsEach + k) % share.length]!);
      const hosts = watched.map((agent) => agent.host()!);
      return { isNear, watched, viewer: await rig.view(hosts, urls[replica]) };
    }),
  );
  const viewers = placed.map(({ viewer }) => viewer);
  const whichAre = (wanted: boolean): Viewer[] => placed.filter(({ isNear }) => isNear === wanted).map(({ viewer }) => viewer);
  const load = makeLoad(
    rig,
    shares.flat(),
    viewers,
    placed.map(({ watched }) => watched),
  );
  return { ...load, near: whichAre(true), far: whichAre(false) };
}

/** Ms from sampling to being shown, of all that these saw since the last call. */
export const lagsOf = (viewers: readonly Viewer[]): number[] => viewers.flatMap((viewer) => viewer.takeLags());

/** The marks that every viewer has from joining. */
export const firstMarks = (viewers: readonly Viewer[]): number => viewers.length * roomsEach;
