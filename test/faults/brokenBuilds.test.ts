/** The checker of the fault tests, on builds that are broken on purpose: kill -9 of PostgreSQL with resends under load, with and without a fault of the hub. */

import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import type { Committing } from '../../src/actions/ingestSample.ts';
import type { SampleWriter } from '../../src/data/writer.ts';
import { openDatabase, type Pool } from '../../src/db/database.ts';
import { startEmbedded } from '../../src/db/embedded.ts';
import { migrate } from '../../src/db/migrate.ts';
import { broken, judge, type Sent, type Verdict } from '../support/faults/checker.ts';
import { printFigures, sized } from '../support/faults/scale.ts';
import { countStored, readStored } from '../support/faults/stored.ts';
import { connectAgent } from '../support/samples.ts';
import { startTestHub } from '../support/testHub.ts';
import { until } from '../support/until.ts';

const agentCount = sized(30, 50);
const rounds = sized(1, 10);

interface Broken {
  committing?: (writer: SampleWriter) => Committing;
  /** Changes the schema before the load. */
  schema?: (sql: Pool) => Promise<unknown>;
}

/** Every agent publishes each 40 ms and sends each third sample twice, whatever is unanswered; at the end what is unanswered again. */
async function killUnderLoad(title: string, { committing, schema }: Broken = {}): Promise<Verdict> {
  const log = pino({ level: 'silent' });
  const folder = mkdtempSync(join(tmpdir(), 'hostroom-kill-'));
  // Else the server's user could not enter, and its data would lie elsewhere.
  chmodSync(folder, 0o755);
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const embedded = await startEmbedded({ dataDir: join(folder, 'data'), log });
  onTestFinished(() => embedded.close());
  const database = await openDatabase({ url: embedded.url, log });
  onTestFinished(() => database.close());
  await migrate({ sql: database.sql, log, apply: true });
  await schema?.(database.sql);
  const hub = await startTestHub(onTestFinished, { database, committing, writer: { probeMs: 50 } });
  const hosts = await Promise.all(Array.from({ length: agentCount }, (_, i) => hub.addHost(`host ${i}`)));
  const agents = await Promise.all(hosts.map((host) => connectAgent(hub, host)));
  const sent = new Map<object, Sent>();
  const refusals = new Map<string, number>();
  let acknowledged = 0;
  const publish = async (i: number, sample: object): Promise<void> => {
    const { error } = await agents[i]!.publish(sample);
    const one = sent.get(sample)!;
    if (!error && !one.acknowledged) acknowledged += 1;
    one.acknowledged ||= !error;
    if (error) refusals.set(`${error.code} ${error.temporary}`, (refusals.get(`${error.code} ${error.temporary}`) ?? 0) + 1);
  };
  const open = new Set<Promise<void>>();
  const track = (published: Promise<void>): void => {
    open.add(published);
    void published.finally(() => open.delete(published));
  };
  const timers = agents.map((agent, i) =>
    setInterval(
      () => {
        const sample = agent.sample();
        const { boot, seq, at } = sample;
        sent.set(sample, { host: hosts[i]!.id, boot, seq, at, acknowledged: false, kept: false });
        track(publish(i, sample));
        if (seq % 3 === 0) track(publish(i, sample));
      },
      40 + (i % 5),
    ),
  );
  const stop = (): void => timers.forEach((timer) => clearInterval(timer));
  onTestFinished(stop);
  const outagesMs: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const before = acknowledged;
    await until(() => acknowledged > before + 500 + Math.random() * 500, 'samples are acknowledged');
    process.kill(embedded.pid(), 'SIGKILL');
    const killedAt = performance.now();
    await until(() => !hub.writer.isStoring, 'the loss is noticed');
    const lost = acknowledged;
    await until(() => hub.writer.isStoring && acknowledged > lost, 'samples are acknowledged again', 30_000);
    outagesMs.push(Math.round(performance.now() - killedAt));
  }
  stop();
  await until(() => open.size === 0, 'all is answered', 30_000);
  // As a spool would, once more.
  for (const [sample, one] of sent) {
    if (!one.acknowledged)
      track(
        publish(
          agents.findIndex((agent) => agent.boot === one.boot),
          sample,
        ),
      );
  }
  await until(() => open.size === 0, 'all is answered', 30_000);
  await until(() => hub.writer.depth.rows === 0, 'the queue is empty');
  const ids = hosts.map((host) => host.id);
  const verdict = judge({
    sent: [...sent.values()],
    stored: await readStored(database.sql, ids),
    counted: await countStored(database.sql, ids),
    views: [],
  });
  printFigures(title, { agents: agentCount, kills: rounds, outagesMs, refusals: Object.fromEntries(refusals), ...verdict });
  expect([...refusals.keys()].filter((name) => name !== '100 true')).toEqual([]);
  return verdict;
}

test('kill -9 of PostgreSQL, samples sent twice: nothing is wrong', async () => {
  const verdict = await killUnderLoad('kill -9 and resends');
  expect(broken(verdict)).toEqual({});
  expect(verdict.lost).toBe(0);
}, 120_000);

test('the checker fails on a hub that acknowledges before the commit', async () => {
  const verdict = await killUnderLoad('kill -9, acknowledged before the commit', {
    committing: (writer) => ({
      add(row, share) {
        writer.add(row, share).catch(() => undefined);
        return Promise.resolve();
      },
    }),
  });
  expect(broken(verdict).acknowledgedLost).toBeGreaterThan(0);
}, 120_000);

test('the checker fails on a hub that does not know what it has already', async () => {
  const verdict = await killUnderLoad('resends, without deduplication', {
    schema: (sql) => sql`alter table sample_hot drop constraint sample_hot_pkey`,
  });
  expect(broken(verdict).miscounted).toBeGreaterThan(0);
}, 120_000);
