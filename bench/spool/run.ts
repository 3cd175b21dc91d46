/**
 * What the agent's spool costs with a day on disk: memory while it waits and while it is delivered, the pace of delivery, and for how
 * long a tick is held up (`-- --hours=24`).
 */

import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { HubClock } from '../../agent/clock.ts';
import { newBoot } from '../../agent/identity.ts';
import { createLog } from '../../agent/log.ts';
import { Spool } from '../../agent/spool.ts';
import { Journal } from '../../agent/spool/journal.ts';
import { agentNodeFlags, unpackAgent } from '../../src/api/agentPackage.ts';
import { startAgentHub } from '../../test/support/agentHub.ts';
import { until } from '../../test/support/until.ts';

const hours = Number(process.argv.find((one) => one.startsWith('--hours='))?.slice(8) ?? 24);
const samples = hours * 3_600;
const folder = mkdtempSync(join(tmpdir(), 'bench-spool-'));
const stateDir = join(folder, 'state');
const metrics = JSON.stringify(Object.fromEntries(Array.from({ length: 58 }, (_, index) => [`disk.sd${index}.read`, index * 12_345.6])));
const maxBytes = 256 * 2 ** 20;

const share = (sorted: readonly number[], part: number): string => `${(sorted[Math.floor((sorted.length - 1) * part)] ?? 0).toFixed(3)} ms`;
const row = (name: string, times: number[]): void => {
  const sorted = times.toSorted((one, other) => one - other);
  console.log(
    `${name.padEnd(44)} p50 ${share(sorted, 0.5)}, p99 ${share(sorted, 0.99)}, longest ${share(sorted, 1)}, ${times.length} times`,
  );
};

const log = createLog('silent');
const times: Record<'add' | 'keep' | 'read' | 'drop', number[]> = { add: [], keep: [], read: [], drop: [] };
const clock = new HubClock();
clock.sync(Date.now() - samples * 1_000, 0, 0);
const boot = newBoot();
let nowMs = 0;
const timed = <T>(list: number[], run: () => T): T => {
  const beganMs = performance.now();
  const result = run();
  list.push(performance.now() - beganMs);
  return result;
};

function openJournal(bytes: number): Journal {
  return new Journal({ folder: join(stateDir, 'spool'), maxBytes: bytes, log });
}

/** A day without a hub, as fast as it goes; `keep` is what happens once a second. */
async function writeDay(): Promise<void> {
  const spool = new Spool({ boot, clock, journal: openJournal(maxBytes), nowMs: () => nowMs });
  let seq = 0;
  for (let second = 0; second < samples; second += 1) {
    nowMs += 1_000;
    seq += 1;
    const at = clock.stamp(nowMs);
    timed(times.add, () => spool.add({ kind: 'sample', boot, seq, takenMs: nowMs, at, body: `"metrics":${metrics}` }));
    if (second < 20 || second % 60 === 0) {
      await timed(times.keep, () => spool.keep());
    }
  }
  console.log(`${samples} samples: ${(spool.bytes / 2 ** 20).toFixed(0)} MiB in ${readdirSync(join(stateDir, 'spool')).length - 1} files`);
  spool.close();
}

async function timeReading(): Promise<void> {
  const opening: number[] = [];
  const journal = timed(opening, () => openJournal(maxBytes));
  row('opening it', opening);
  const loop: number[] = [];
  let lastMs = performance.now();
  const watch = setInterval(() => {
    loop.push(performance.now() - lastMs - 1);
    lastMs = performance.now();
  }, 1);
  for (let times = 0; times < 50; times += 1) await journal.read(Infinity, 300, 384 * 1024);
  clearInterval(watch);
  row('event loop held up while batches are read', loop);
}

/** More than there may be: every so often the oldest segment goes. */
async function timeDropping(): Promise<void> {
  const journal = new Journal({ folder: join(folder, 'small'), maxBytes: 16 * 2 ** 20, log });
  const spool = new Spool({ boot, clock, journal, nowMs: () => nowMs });
  for (let seq = 1; seq <= 20_000; seq += 1) {
    nowMs += 1_000;
    const before = spool.dropped;
    const list: number[] = [];
    const at = clock.stamp(nowMs);
    timed(list, () => spool.add({ kind: 'sample', boot, seq, takenMs: nowMs, at, body: `"metrics":${metrics}` }));
    if (spool.dropped > before) times.drop.push(...list);
    if (seq === 20) await spool.keep();
  }
  row('one publication for which the oldest go', times.drop);
}

const status = (pid: number, field: string): number =>
  Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, 'latin1'))![1]) / 1024;

/** The packed agent delivers the day to a hub that commits at once. */
async function deliver(): Promise<void> {
  const hub = await startAgentHub();
  const main = await unpackAgent(join(folder, 'agent'));
  hub.behaviour.onConnect = () => (isAway ? { code: 3000, reason: 'away' } : undefined);
  let isAway = true;
  const agent = spawn(process.execPath, [...agentNodeFlags, main], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { PATH: process.env['PATH'], HUB_URL: hub.url, ENROLMENT_TOKEN: 'token', STATE_DIR: stateDir, LOG_LEVEL: 'warn' },
  });
  try {
    await sleep(20_000);
    console.log(`agent beside a day on disk, hub away       ${status(agent.pid!, 'VmRSS').toFixed(1)} MiB resident`);
    isAway = false;
    const beganMs = performance.now();
    const intervals: number[] = [];
    let lastLive = 0;
    hub.behaviour.onPublish = ({ at }) => {
      if (lastLive > 0) intervals.push(at - lastLive);
      lastLive = at;
      return undefined;
    };
    let most = 0;
    const late = new Set<number>();
    hub.behaviour.onBackfill = (publications) => {
      for (const { boot: of, seq } of publications) if (of === boot) late.add(seq);
      return undefined;
    };
    const giveUpMs = performance.now() + samples * 20;
    while (late.size < samples && performance.now() < giveUpMs) {
      most = Math.max(most, status(agent.pid!, 'VmRSS'));
      await sleep(200);
    }
    const tookS = (performance.now() - beganMs) / 1_000;
    console.log(
      `delivered ${late.size} of ${samples} in ${tookS.toFixed(0)} s: ${(late.size / tookS).toFixed(0)} a second beside the live ones`,
    );
    console.log(
      `memory while it delivers                   ${most.toFixed(1)} MiB at most, ${(most * 1.048576).toFixed(1)} MB (goal 60 MB)`,
    );
    row('time between live samples while it delivers', intervals);
    await until(() => hub.faults.length === 0);
  } finally {
    agent.kill('SIGKILL');
    await hub.close();
  }
}

try {
  await writeDay();
  row('one publication to disk', times.add);
  row('once a second: position, fsync begun', times.keep);
  await timeReading();
  await timeDropping();
  if (process.platform === 'linux') await deliver();
} finally {
  rmSync(folder, { recursive: true, force: true });
}
