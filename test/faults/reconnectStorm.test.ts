/** R13: all viewers lose their connections at once and come back, as fast as the hub lets them. */

import { randomBytes } from 'node:crypto';
import { expect, onTestFinished } from 'vitest';
import { needs } from '../support/needs.ts';
import { startCrowd, type CrowdCounts } from '../support/faults/crowd.ts';
import { makeVisitors } from '../support/faults/people.ts';
import { startRig } from '../support/faults/rig.ts';
import { isFull, printFigures, sized } from '../support/faults/scale.ts';
import { loggingStatements, sumOf, watchStatements } from '../support/faults/statements.ts';
import { until } from '../support/until.ts';

const viewers = sized(400, 5_000);
const agentCount = sized(10, 50);
const handshakes = 200;
const mebibyte = 2 ** 20;

needs('linux').test(
  `${viewers} viewers lose their connections at once and come back without a statement of their own`,
  async () => {
    const secretKey = randomBytes(32).toString('base64');
    const rig = await startRig(onTestFinished, {
      postgresSettings: loggingStatements,
      environment: { SECRET_KEY: secretKey, LIMIT_HANDSHAKES: String(handshakes) },
    });
    const agents = await rig.load(agentCount, { intervalMs: 1_000 });
    const hosts = agents.map((agent) => agent.host()!);
    const visitors = await makeVisitors(rig.sql, viewers, secretKey);
    const [group] = await rig.sql<[{ id: string }]>`select id from host_group order by created_at limit 1`;
    const statements = watchStatements(rig.postgres.logFile);
    onTestFinished(() => statements.close());
    const crowd = startCrowd({
      url: `${rig.hub.url.replace('http', 'ws')}/connection/websocket`,
      size: viewers,
      token: (n) => visitors[n]!.accessToken,
      rooms: (n) => {
        const host = hosts[n % hosts.length]!;
        return [`user:${visitors[n]!.person}`, `fleet:${group.id}`, `host:${host}`, `room:${host}`];
      },
    });
    onTestFinished(() => crowd.close());
    const comeIn = async (): Promise<{ ms: number; counts: CrowdCounts; byStatement: Map<string, number>; lagP99Ms: number }> => {
      crowd.take();
      statements.take();
      await rig.metric('nodejs_eventloop_lag_p99_seconds');
      const startedMs = performance.now();
      await until(() => crowd.joined() === viewers, 'all are in their rooms', 120_000);
      const ms = Math.round(performance.now() - startedMs);
      const lagP99Ms = Math.round((await rig.metric('nodejs_eventloop_lag_p99_seconds')) * 1_000);
      return { ms, counts: crowd.take(), byStatement: statements.take(), lagP99Ms };
    };
    const first = await comeIn();

    // What the hub asks while nobody comes, in as long as the return takes.
    statements.take();
    const restingMs = 3_000;
    await new Promise((resolve) => setTimeout(resolve, restingMs));
    const resting = sumOf(statements.take()) / restingMs;
    const before = rig.hubMemory();
    crowd.drop();
    let most = before;
    const watch = setInterval(() => (most = Math.max(most, rig.hubMemory())), 100);
    const back = await comeIn();
    clearInterval(watch);

    const extra = Math.max(0, sumOf(back.byStatement) - resting * back.ms);
    printFigures('R13 reconnect storm', {
      viewers,
      rooms: viewers * 4,
      firstMs: first.ms,
      firstStatements: sumOf(first.byStatement),
      backMs: back.ms,
      upgradesPerSecond: mostPerSecond(back.counts.opened),
      handshakes,
      refused: back.counts.refused,
      errors: back.counts.errors,
      recovered: back.counts.recovered,
      unrecovered: back.counts.unrecovered,
      statements: sumOf(back.byStatement),
      statementsByReconnect: Math.round(extra),
      byStatement: [...back.byStatement].toSorted((a, b) => b[1] - a[1]).slice(0, 12),
      loopLagP99Ms: back.lagP99Ms,
      sentMiB: Math.round(back.counts.bytes / mebibyte),
      memoryMiB: { before: Math.round(before / mebibyte), most: Math.round(most / mebibyte) },
    });
    expect(rig.isUp()).toBe(true);
    expect(back.counts.opened).toHaveLength(viewers);
    expect(back.counts.errors).toEqual({});
    // Host and conversation of each; fleet and user have nothing to recover.
    expect(back.counts.recovered).toBe(viewers * 2);
    expect(extra).toBeLessThan(viewers / 10);
    if (!isFull) return;
    // The bucket lets its burst through, then its rate.
    expect(mostPerSecond(back.counts.opened)).toBeLessThanOrEqual(2 * handshakes + 20);
    expect(back.ms).toBeLessThan(60_000);
  },
  sized(120_000, 400_000),
);

/** The most moments within any second. */
function mostPerSecond(moments: readonly number[]): number {
  let most = 0;
  let from = 0;
  for (let at = 0; at < moments.length; at++) {
    while (moments[at]! - moments[from]! >= 1_000) from++;
    most = Math.max(most, at - from + 1);
  }
  return most;
}
