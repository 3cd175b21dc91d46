/** R10, R11: the network between agents and hub is cut, in both directions or from the hub to the agents only, without a word to either side. */

import { expect, onTestFinished } from 'vitest';
import { needs } from '../support/needs.ts';
import { broken } from '../support/faults/checker.ts';
import { startFaultProxy, type FaultProxy } from '../support/faults/faultProxy.ts';
import type { LoadAgent } from '../support/faults/loadAgent.ts';
import { canMakeNetworks, makeNetwork } from '../support/faults/netns.ts';
import { startRig, untilDelivered, type RealAgent, type Rig } from '../support/faults/rig.ts';
import { percentile, printFigures, sized } from '../support/faults/scale.ts';
import type { Viewer } from '../support/faults/viewer.ts';
import { until } from '../support/until.ts';

const loadCount = sized(15, 150);
const realCount = sized(2, 3);
const intervalMs = sized(250, 1_000);
/** At least; in any case until both sides have noticed. */
const cutMs = sized(30_000, 600_000);

interface Group {
  name: string;
  isOneWay: boolean;
  proxy: FaultProxy;
  load: LoadAgent[];
  real: RealAgent[];
  viewer: Viewer;
  /** Cuts and heals the way of the real agents. */
  cut(): void;
  heal(): void;
}

/** Synthetic agents behind a proxy that swallows; real ones in a network whose firewall drops, or behind the proxy too. */
async function makeGroup(rig: Rig, name: string, isOneWay: boolean): Promise<Group> {
  const port = Number(new URL(rig.hub.url).port);
  const proxy = await startFaultProxy({ host: '127.0.0.1', port });
  onTestFinished(() => proxy.close());
  const through = `http://127.0.0.1:${proxy.port}`;
  const network = canMakeNetworks() ? makeNetwork(onTestFinished) : undefined;
  if (!network) process.stdout.write(`${name}: no network namespaces here; the real agents go through the proxy\n`);
  const load = await rig.load(loadCount, { intervalMs, hubUrl: through });
  const real = await Promise.all(
    Array.from({ length: realCount }, () =>
      rig.realAgent(network ? { hubUrl: `http://${network.outside}:${port}`, through: network.through } : { hubUrl: through }),
    ),
  );
  await until(() => real.every((agent) => agent.output().includes('"connected"')), 'the real agents are connected', 60_000);
  return {
    name,
    isOneWay,
    proxy,
    load,
    real,
    viewer: await rig.view(load.slice(0, 5).map((agent) => agent.host()!)),
    cut: () => {
      proxy.set({ blackhole: true }, isOneWay ? 'down' : undefined);
      network?.drop(isOneWay ? 'in' : 'both');
    },
    heal: () => {
      proxy.heal();
      network?.heal();
    },
  };
}

const reconnects = (agent: RealAgent): number => agent.output().split('"msg":"connection ended"').length - 1;

needs('linux', 'root', 'ip', 'nft').test(
  'a network that swallows everything, or all that the hub says: noticed by both, then delivered once, live first',
  async () => {
    const rig = await startRig(onTestFinished, { environment: { HOST: '0.0.0.0' } });
    const groups = [await makeGroup(rig, 'R10 both directions', false), await makeGroup(rig, 'R11 hub to agent', true)];
    const all = groups.flatMap((group) => group.load);
    await until(() => all.every((agent) => agent.acknowledged >= 4), 'the load runs', 60_000);
    const connectionsBefore = await rig.metric('hostroom_connections', '{kind="agent"}');
    expect(connectionsBefore).toBe(all.length + 2 * realCount);

    for (const group of groups) group.cut();
    const cutAt = performance.now();
    let hubNoticedMs = 0;
    const noticedBy = new Map<unknown, number>();
    await until(
      async () => {
        const passedMs = performance.now() - cutAt;
        for (const group of groups) {
          for (const agent of group.load) if (!agent.link.connection && !noticedBy.has(agent)) noticedBy.set(agent, passedMs);
          for (const agent of group.real) if (reconnects(agent) > 0 && !noticedBy.has(agent)) noticedBy.set(agent, passedMs);
        }
        if (hubNoticedMs === 0 && (await rig.metric('hostroom_connections', '{kind="agent"}')) === 0)
          hubNoticedMs = performance.now() - cutAt;
        return hubNoticedMs > 0 && noticedBy.size === connectionsBefore && passedMs >= cutMs;
      },
      'both sides have noticed',
      cutMs + 90_000,
    );
    const backlogs = groups.map((group) => group.load.map((agent) => agent.depth));
    for (const group of groups) {
      group.viewer.takeLags();
      group.heal();
    }
    const healedAt = performance.now();
    const deliveredMs: number[] = [];
    /** From when on a host is live again. */
    const backAt = new Map<string, number>();
    await Promise.all(
      all.map(async (agent) => {
        await until(() => agent.link.connection !== undefined, 'the agent is back', 180_000);
        backAt.set(agent.host()!, Date.now());
        await until(() => agent.link.connection !== undefined && agent.depth <= 3, 'the backlog is delivered', 180_000);
        deliveredMs.push(performance.now() - healedAt);
      }),
    );
    const lags = groups.map((group) => group.viewer.takeLags((host) => backAt.get(host) ?? Infinity));
    for (const agent of all) agent.stopSampling();
    await untilDelivered(all);

    for (const [i, group] of groups.entries()) {
      const verdict = await rig.verdict(group.load, [group.viewer]);
      printFigures(group.name, {
        agents: group.load.length,
        realAgents: group.real.length,
        cutMs: Math.round(healedAt - cutAt),
        agentsNoticedMsMost: Math.round(Math.max(...[...group.load, ...group.real].map((agent) => noticedBy.get(agent) ?? 0))),
        hubNoticedMs: Math.round(hubNoticedMs),
        backlogPerAgent: percentile(backlogs[i]!, 0.5),
        deliveredMsMedian: Math.round(percentile(deliveredMs, 0.5)),
        deliveredMsMost: Math.round(Math.max(...deliveredMs)),
        liveLagP99Ms: percentile(lags[i]!, 0.99),
        ...verdict,
      });
      expect(broken(verdict)).toEqual({});
      expect(verdict.lost).toBe(0);
    }
    expect(hubNoticedMs).toBeLessThan(60_000);
    expect(Math.max(...noticedBy.values())).toBeLessThan(60_000);
    // The real agents: connected again, and of each start everything there, once.
    await until(
      async () => {
        const rows = await rig.sql<{ holes: number; newest: number }[]>`
          select (max(seq) - min(seq) + 1 - count(*))::int as holes, extract(epoch from now() - max(at))::float8 as newest
          from sample_hot where host in (select id from host where name not like 'load %') group by host, boot`;
        return rows.length === 2 * realCount && rows.every((row) => row.holes === 0 && row.newest < 5);
      },
      'the real agents have no hole',
      120_000,
    );
  },
  sized(300_000, 1_200_000),
);
