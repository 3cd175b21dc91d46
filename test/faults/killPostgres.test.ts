import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import type { Committing } from '../../src/actions/ingestSample.ts';
import type { SampleWriter } from '../../src/data/writer.ts';
import { openDatabase } from '../../src/db/database.ts';
import { startEmbedded } from '../../src/db/embedded.ts';
import { migrate } from '../../src/db/migrate.ts';
import { connectAgent } from '../support/samples.ts';
import type { TestAgent } from '../support/samples.ts';
import { startTestHub } from '../support/testHub.ts';
import { until } from '../support/until.ts';

const agentCount = 50;
const rounds = 3;

interface Ledger {
  /** `boot seq` of what was sent, by host. */
  sent: Map<string, Map<number, object>>;
  /** `boot seq` of what was answered with success. */
  acknowledged: Set<string>;
  refusals: Map<string, number>;
}

/** Every agent publishes each 40 ms, whatever is unanswered, until `stop`. */
function load(agents: TestAgent[], ledger: Ledger): () => void {
  const timers = agents.map((agent, i) => {
    const mine = new Map<number, object>();
    ledger.sent.set(agent.boot, mine);
    return setInterval(
      () => {
        const sample = agent.sample();
        mine.set(sample.seq, sample);
        agent.publish(sample).then(
          ({ error }) => {
            if (!error) ledger.acknowledged.add(`${agent.boot} ${sample.seq}`);
            else {
              const name = `${error.code}${error.temporary ? ' temporary' : ''}`;
              ledger.refusals.set(name, (ledger.refusals.get(name) ?? 0) + 1);
            }
          },
          (error: Error) => ledger.refusals.set(error.message, (ledger.refusals.get(error.message) ?? 0) + 1),
        );
      },
      40 + (i % 5),
    );
  });
  return () => timers.forEach((timer) => clearInterval(timer));
}

/** Runs the load over `rounds` kills of the server; gives back what the checker needs. */
async function killUnderLoad(committing?: (writer: SampleWriter) => Committing) {
  const seed = Math.floor(Math.random() * 1e9);
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
  const hub = await startTestHub(onTestFinished, { database, committing, writer: { probeMs: 50 } });
  const hosts = await Promise.all(Array.from({ length: agentCount }, (_, i) => hub.addHost(`host ${i}`)));
  const agents = await Promise.all(hosts.map((host) => connectAgent(hub, host)));
  const ledger: Ledger = { sent: new Map(), acknowledged: new Set(), refusals: new Map() };
  const stop = load(agents, ledger);
  const outagesMs: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const before = ledger.acknowledged.size;
    await until(() => ledger.acknowledged.size > before + 500 + ((seed >> round) % 500), 'samples are acknowledged');
    process.kill(embedded.pid(), 'SIGKILL');
    const killedAt = performance.now();
    await until(() => hub.writer.isAway, 'the loss is noticed');
    const lost = ledger.acknowledged.size;
    await until(() => !hub.writer.isAway && ledger.acknowledged.size > lost, 'samples are acknowledged again', 30_000);
    outagesMs.push(Math.round(performance.now() - killedAt));
  }
  stop();
  await until(() => hub.writer.depth.rows === 0, 'the queue is empty');
  const stored = await database.sql<{ boot: string; seq: number }[]>`select boot, seq from sample_hot`;
  const keys = new Set(stored.map((row) => `${row.boot} ${row.seq}`));
  const sent = [...ledger.sent.values()].reduce((sum, mine) => sum + mine.size, 0);
  const acknowledgedLost = [...ledger.acknowledged].filter((key) => !keys.has(key)).length;
  const figures = {
    seed,
    agents: agentCount,
    kills: rounds,
    sent,
    acknowledged: ledger.acknowledged.size,
    stored: stored.length,
    acknowledgedLost,
    outagesMs,
  };
  process.stdout.write(
    `kill -9 of PostgreSQL under load: ${JSON.stringify({ ...figures, refusals: Object.fromEntries(ledger.refusals) })}\n`,
  );
  return { ...figures, duplicates: stored.length - keys.size, ledger, agents, hub, database, keys };
}

test('kill -9 of PostgreSQL under load: what was acknowledged is stored, once, and the rest comes by a resend', async () => {
  const run = await killUnderLoad();
  expect(run.acknowledgedLost).toBe(0);
  expect(run.duplicates).toBe(0);
  for (const name of run.ledger.refusals.keys()) expect(name).toBe('100 temporary');
  // The agents send again what was not acknowledged, as their spool would.
  for (const agent of run.agents) {
    const missing = [...run.ledger.sent.get(agent.boot)!]
      .filter(([seq]) => !run.ledger.acknowledged.has(`${agent.boot} ${seq}`))
      .map(([, sample]) => sample);
    for (let i = 0; i < missing.length; i += 300) {
      const reply = await agent.client.call('rpc', { method: 'backfill', data: { publications: missing.slice(i, i + 300) } });
      expect(reply.rpc.data).toEqual({ committed: missing.slice(i, i + 300).length, refused: [] });
    }
  }
  const [all] = await run.database.sql<[{ rows: number; distinct: number }]>`
    select count(*)::int as rows, count(distinct (host, boot, seq))::int as distinct from sample_hot`;
  expect(all).toEqual({ rows: run.sent, distinct: run.sent });
}, 120_000);

test('the check above notices a hub that acknowledges before the commit', async () => {
  const run = await killUnderLoad((writer) => ({
    add(row, share) {
      writer.add(row, share).catch(() => undefined);
      return Promise.resolve();
    },
  }));
  expect(run.acknowledgedLost).toBeGreaterThan(0);
}, 120_000);
