/** R18: connections die between a commit and its answer, before the hub or behind it. */

import { Centrifuge } from 'centrifuge';
import { expect, onTestFinished } from 'vitest';
import type { TimelineItem } from '../../src/protocol/kinds.ts';
import { conversationRoom } from '../../src/protocol/rooms.ts';
import { BrowserSocket } from '../support/browserSocket.ts';
import { needs } from '../support/needs.ts';
import { broken } from '../support/faults/checker.ts';
import { startFaultProxy, type FaultProxy } from '../support/faults/faultProxy.ts';
import { startRig, untilDelivered, type Rig } from '../support/faults/rig.ts';
import { printFigures, sized } from '../support/faults/scale.ts';
import { randomOf, seedFor } from '../support/seed.ts';
import { until } from '../support/until.ts';

const postCount = sized(30, 1_000);
const agentCount = sized(10, 100);
const intervalMs = sized(100, 250);
const cuts = sized(5, 100);

/** Swallows the next answer that holds `sign`, after something that holds `asked` was sent, and breaks all connections; `isDone()` tells that it happened. */
function cutNext(proxy: FaultProxy, sign: string, asked = ''): { isDone(): boolean } {
  let isDone = false;
  let isAsked = asked === '';
  proxy.watch((direction, chunk) => {
    if (direction === 'up') isAsked ||= chunk.includes(asked);
    if (isDone || !isAsked || direction === 'up' || !chunk.includes(sign)) return true;
    isDone = true;
    setImmediate(() => proxy.reset());
    return false;
  });
  return { isDone: () => isDone };
}

/** `before` stands between clients and hub, `behind` between hub and PostgreSQL. */
async function startBetweenProxies(): Promise<{ rig: Rig; before: FaultProxy; behind: FaultProxy }> {
  let behind: FaultProxy | undefined;
  const rig = await startRig(onTestFinished, {
    databaseThrough: async (port) => {
      behind = await startFaultProxy({ host: '127.0.0.1', port });
      return behind.port;
    },
  });
  onTestFinished(() => behind!.close());
  const before = await startFaultProxy({ host: '127.0.0.1', port: Number(new URL(rig.hub.url).port) });
  onTestFinished(() => before.close());
  return { rig, before, behind: behind! };
}

needs('linux').test(
  'messages whose answer is lost: a retry with the same key gets the same message, stored and shown once, in one order',
  async () => {
    const random = randomOf(seedFor('R18 messages'));
    const { rig, before, behind } = await startBetweenProxies();
    const room = ((await (await rig.person.call('POST', '/hosts', { name: 'talked about' })).json()) as { id: string }).id;
    const client = new Centrifuge(`${rig.hub.url.replace('http', 'ws')}/connection/websocket`, {
      websocket: BrowserSocket,
      token: rig.person.accessToken,
    });
    onTestFinished(() => client.disconnect());
    const shown: { id: string; offset: number }[] = [];
    const subscription = client.newSubscription(conversationRoom(room));
    subscription.on('publication', ({ data, offset }: { data: TimelineItem; offset?: number }) => {
      if (data.kind === 'message') shown.push({ id: data.id, offset: offset ?? 0 });
    });
    subscription.subscribe();
    client.connect();
    await subscription.ready(10_000);

    const post = async (key: string): Promise<{ status: number; id: string }> => {
      const answer = await fetch(`http://127.0.0.1:${before.port}/api/v1/rooms/${room}/messages`, {
        method: 'POST',
        headers: { authorization: `Bearer ${rig.person.accessToken}`, 'content-type': 'application/json', connection: 'close' },
        body: JSON.stringify({ text: `message ${key}`, key }),
      });
      if (answer.status >= 300) throw new Error(`${answer.status} ${await answer.text()}`);
      return { status: answer.status, id: ((await answer.json()) as { id: string }).id };
    };
    const ids = new Map<string, string>();
    const counts = { lostBeforeHub: 0, lostBehindHub: 0, retries: 0, repeats: 0 };
    for (let i = 0; i < postCount; i++) {
      const key = `key-${i}`;
      // Nothing follows the last one by which its absence would be seen.
      const dice = i === postCount - 1 ? 0.5 : random();
      const cut = dice < 0.3 ? cutNext(before, 'HTTP/1.1 2') : dice < 0.6 ? cutNext(behind, 'COMMIT\0') : undefined;
      for (let tries = 0; ; tries++) {
        try {
          const { status, id } = await post(key);
          if (tries > 0 && status === 200) counts.repeats += 1;
          ids.set(key, id);
          break;
        } catch (error) {
          if (tries > 50) throw error;
          counts.retries += 1;
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      }
      if (cut?.isDone()) counts[dice < 0.3 ? 'lostBeforeHub' : 'lostBehindHub'] += 1;
      before.watch(undefined);
      behind.watch(undefined);
    }
    const rows = await rig.sql<{ id: string; key: string; offset: number }[]>`
      select id, key, "offset"::int as offset from message where room = ${room} and kind = 'message' order by "offset"`;
    const isAllShown = await until(() => shown.length >= rows.length, 'all are shown', 15_000).catch(() => false);
    printFigures('R18 messages', { posts: postCount, ...counts, stored: rows.length, shown: shown.length });
    expect(rows.map(({ key, id }) => [key, id])).toEqual([...ids]);
    expect(isAllShown).toBe(true);
    expect(shown).toEqual(rows.map(({ id, offset }) => ({ id, offset })));
    expect(counts.lostBeforeHub).toBeGreaterThan(0);
    expect(counts.lostBehindHub).toBeGreaterThan(0);
  },
  sized(120_000, 600_000),
);

needs('linux').test(
  'samples whose answer is lost on either side of the hub: stored once',
  async () => {
    const random = randomOf(seedFor('R18 samples'));
    const { rig, before, behind } = await startBetweenProxies();
    // Small pieces, so that what is cut is cut in the middle as well.
    before.set({ sliceBytes: 700 });
    const agents = await rig.load(agentCount, { intervalMs, hubUrl: `http://127.0.0.1:${before.port}` });
    const viewer = await rig.view(agents.slice(0, 5).map((agent) => agent.host()!));
    const acknowledged = (): number => agents.reduce((sum, agent) => sum + agent.acknowledged, 0);
    let [done, lostBeforeHub] = [0, 0];
    while (done < cuts) {
      const isBefore = random() < 0.5;
      // Samples are stored by a statement that tells how many were new, and commits by itself.
      const cut = isBefore ? cutNext(before, '"publish":{}') : cutNext(behind, 'SELECT 1\0', '"kind":"sample"');
      await until(() => cut.isDone(), 'an answer is lost', 60_000);
      before.watch(undefined);
      behind.watch(undefined);
      if (isBefore) lostBeforeHub += 1;
      done += 1;
      const from = acknowledged();
      await until(() => acknowledged() > from + agentCount, 'samples are acknowledged again', 60_000);
    }
    for (const agent of agents) agent.stopSampling();
    await untilDelivered(agents);
    const verdict = await rig.verdict(agents, [viewer]);
    printFigures('R18 samples', { agents: agentCount, cuts: done, lostBeforeHub, connections: before.accepted, ...verdict });
    expect(broken(verdict)).toEqual({});
    expect(verdict.lost).toBe(0);
  },
  sized(120_000, 900_000),
);
