/** Finds members that a room shows although they are gone. */

import type { LoadAgent } from './loadAgent.ts';
import type { Viewer } from './viewer.ts';

/** How many connections the first rooms show beyond those that are there: of viewers by their ids, of agents one each. */
export async function ghostsIn(viewers: readonly Viewer[], agents: readonly LoadAgent[], rooms = 20): Promise<number> {
  const alive = new Set(viewers.map((viewer) => viewer.client()));
  const counts = await Promise.all(
    viewers.slice(0, rooms).map(async (viewer) => {
      const hosts = [...viewer.hosts].filter((host) => agents.some((agent) => agent.host() === host));
      const lists = await Promise.all(hosts.map((host) => viewer.present(host)));
      return lists.map((list) => {
        const ofAgents = list.filter(({ kind }) => kind === 'agent').length;
        const strangers = list.filter(({ kind, client }) => kind !== 'agent' && !alive.has(client)).length;
        return Math.max(0, ofAgents - 1) + strangers;
      });
    }),
  );
  return counts.flat().reduce((sum, count) => sum + count, 0);
}
