/** R13: all viewers lose their connections at once and come back, as fast as one hub, or three behind nginx, let them. */

import { randomBytes } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { expect, onTestFinished } from 'vitest';
import { needs } from '../support/needs.ts';
import { readCluster } from '../support/faults/cluster.ts';
import { startCrowd, type CrowdCounts } from '../support/faults/crowd.ts';
import { makeVisitors } from '../support/faults/people.ts';
import { residentBytes, startRig } from '../support/faults/rig.ts';
import { isFull, printFigures, sized } from '../support/faults/scale.ts';
import { loggingStatements, sumOf, watchStatements } from '../support/faults/statements.ts';
import { until } from '../support/until.ts';

const viewers = sized(400, 5_000);
const agentCount = sized(10, 50);
const handshakes = 200;
const restingMs = 3_000;
const mebibyte = 2 ** 20;

interface Coming {
  ms: number;
  counts: CrowdCounts;
  statements: ReadonlyMap<string, number>;
  /** Of the replica where it was worst. */
  loopLagP99Ms: number;
}

/** Fills the hubs, cuts everybody `drops` times; gives how many statements each time took beyond those of a resting hub. */
async function storm(title: string, { replicas, drops }: { replicas?: number; drops: number }): Promise<{ extra: number[] }> {
  const secretKey = randomBytes(32).toString('base64');
  const rig = await startRig(onTestFinished, {
    replicas,
    postgresSettings: loggingStatements,
    environment: { SECRET_KEY: secretKey, LIMIT_HANDSHAKES: String(handshakes) },
  });
  const hubs = replicas ? readCluster(rig.folder).replicas : [{ pid: rig.hub.child.pid, opsUrl: rig.hub.opsUrl }];
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
  const loopLagP99Ms = async (): Promise<number> => {
    const all = await Promise.all(hubs.map(async ({ opsUrl }) => (await fetch(`${opsUrl}/metrics`)).text()));
    return Math.round(Math.max(...all.map((text) => Number(/^nodejs_eventloop_lag_p99_seconds (.*)$/m.exec(text)?.[1]))) * 1_000);
  };
  const comeIn = async (): Promise<Coming> => {
    crowd.take();
    statements.take();
    // Each reading begins the next.
    await loopLagP99Ms();
    const startedMs = performance.now();
    await until(() => crowd.joined() === viewers, 'all are in their rooms', 120_000);
    const ms = Math.round(performance.now() - startedMs);
    return { ms, counts: crowd.take(), statements: statements.take(), loopLagP99Ms: await loopLagP99Ms() };
  };
  const memory = (): number => hubs.reduce((sum, { pid }) => sum + residentBytes(pid!), 0);
  const first = await comeIn();

  // What the hubs ask while nobody comes, in as long as the return takes.
  statements.take();
  await wait(restingMs);
  const resting = sumOf(statements.take()) / restingMs;
  const extraOf = (coming: Coming): number => Math.round(Math.max(0, sumOf(coming.statements) - resting * coming.ms));
  const before = memory();
  let most = before;
  const watch = setInterval(() => (most = Math.max(most, memory())), 100);
  onTestFinished(() => clearInterval(watch));
  const returns: Coming[] = [];
  for (let drop = 0; drop < drops; drop++) {
    crowd.drop();
    // oxlint-disable-next-line no-await-in-loop -- one storm after the other
    returns.push(await comeIn());
  }
  clearInterval(watch);
  printFigures(title, {
    viewers,
    rooms: viewers * 4,
    replicas: hubs.length,
    handshakesPerReplica: handshakes,
    first: { ms: first.ms, statements: sumOf(first.statements), loopLagP99Ms: first.loopLagP99Ms },
    statementsPerSecondAtRest: Math.round(resting * 1_000),
    returns: returns.map((back) => ({
      ms: back.ms,
      upgradesPerSecond: mostPerSecond(back.counts.opened),
      refused: back.counts.refused,
      errors: back.counts.errors,
      closes: back.counts.closes,
      recovered: back.counts.recovered,
      unrecovered: back.counts.unrecovered,
      statements: sumOf(back.statements),
      statementsByReconnect: extraOf(back),
      loopLagP99Ms: back.loopLagP99Ms,
      sentMiB: Math.round(back.counts.bytes / mebibyte),
    })),
    lastStatements: [...returns.at(-1)!.statements].toSorted((a, b) => b[1] - a[1]).slice(0, 12),
    memoryMiB: { before: Math.round(before / mebibyte), most: Math.round(most / mebibyte) },
  });
  expect(rig.isUp()).toBe(true);
  for (const { counts, ms } of returns) {
    // Several replicas may send some on to each other.
    expect(counts.opened.length).toBeGreaterThanOrEqual(viewers);
    if (!replicas) expect(counts.opened).toHaveLength(viewers);
    expect(counts.errors).toEqual({});
    // Host and conversation of each; fleet and user have nothing to recover.
    expect(counts.recovered).toBeGreaterThanOrEqual(viewers * 2);
    expect(counts.unrecovered).toBe(0);
    if (!isFull) continue;
    // The bucket of each lets its burst through, then its rate; this process may see those of a moment a little later.
    expect(mostPerSecond(counts.opened)).toBeLessThanOrEqual(hubs.length * 2 * handshakes * 1.25);
    expect(ms).toBeLessThan(60_000);
  }
  return { extra: returns.map(extraOf) };
}

needs('linux').test(
  `${viewers} viewers lose their connections at once and come back without a statement of their own`,
  async () => {
    const { extra } = await storm('R13 reconnect storm', { drops: 1 });
    expect(extra[0]).toBeLessThan(viewers / 10);
  },
  sized(120_000, 400_000),
);

needs('linux', 'nginx', 'redis').test(
  `${viewers} viewers of three replicas behind nginx lose their connections at once, again and again`,
  async () => {
    // Most come to a replica that has not met them; once all have, nobody is asked about again.
    const { extra } = await storm('R13 reconnect storm, three replicas', { replicas: 3, drops: sized(1, 4) });
    expect(extra[0]).toBeLessThan(viewers * sized(1, 0.5));
    if (isFull) expect(extra.at(-1)).toBeLessThan(extra[0]!);
  },
  sized(120_000, 600_000),
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
