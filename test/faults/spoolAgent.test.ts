/** R04, R19: the agent with its spool on a real hub: the network goes, the agent is killed, two share a folder, disks fill up. */

import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startAgent, type Agent } from '../../agent/agent.ts';
import { createLog } from '../../agent/log.ts';
import { findRecord, type Stored } from '../../agent/spool/record.ts';
import type { Event } from '../../src/protocol/kinds.ts';
import { root, startTestApp, type TestApp } from '../support/app.ts';
import { startFaultProxy, type FaultProxy } from '../support/faults/faultProxy.ts';
import { mountSmallDisk } from '../support/faults/smallDisk.ts';
import { needs } from '../support/needs.ts';
import { openTestSpool, segmentFiles, seqsOf, upTo } from '../support/spool.ts';
import { until } from '../support/until.ts';

interface Row {
  boot: string;
  seq: number;
}

function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'agent-spool-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function proxyTo(hub: TestApp): Promise<FaultProxy> {
  const proxy = await startFaultProxy({ host: '127.0.0.1', port: hub.config.port });
  onTestFinished(() => proxy.close());
  return proxy;
}

const urlOf = (proxy: FaultProxy): string => `http://127.0.0.1:${proxy.port}`;

async function rowsOf(hub: TestApp): Promise<Row[]> {
  const rows = await hub.database.sql<{ boot: string; seq: string }[]>`select boot, seq from sample_hot order by boot, seq`;
  return rows.map(({ boot, seq }) => ({ boot, seq: Number(seq) }));
}

const seqsOfBoot = async (hub: TestApp, boot: string): Promise<number[]> =>
  (await rowsOf(hub)).filter((row) => row.boot === boot).map(({ seq }) => seq);

const recordsIn = (folder: string): Stored[] =>
  segmentFiles(folder).flatMap((path) => {
    const data = readFileSync(path);
    const records: Stored[] = [];
    for (let found = findRecord(data, 0); found.record; found = findRecord(data, found.end)) records.push(found.record);
    return records;
  });

async function startInProcess(hubUrl: string, stateDir: string, enrolmentToken: string | undefined, intervalMs: number): Promise<Agent> {
  const config = { hubUrl, enrolmentToken, stateDir, intervalMs, spoolBytes: 2 ** 28, spoolAgeMs: 86_400_000, name: 'test' };
  const agent = await startAgent({ ...config, hostRoot: '', logLevel: 'silent' }, { log: createLog('silent'), version: '1' });
  agent.done.catch(() => {});
  onTestFinished(() => agent.close());
  return agent;
}

function startProcess(environment: Record<string, string>): ChildProcess {
  const child = spawn(process.execPath, [join(root, 'agent/main.ts')], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: process.env['PATH'], LOG_LEVEL: 'error', ...environment },
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

test('an agent that is killed while the hub is away: all that was on disk arrives once, one event tells of it', async () => {
  const hub = await startTestApp(onTestFinished);
  const proxy = await proxyTo(hub);
  const stateDir = makeFolder();
  const folder = join(stateDir, 'spool');
  // Left behind by a start before: 500 samples of the last minutes.
  const before = openTestSpool({ folder, hubMs: Date.now() - 900_000, wallMs: Date.now() - 900_000 });
  before.add(500);
  before.spool.close();
  const environment = { HUB_URL: urlOf(proxy), STATE_DIR: stateDir, ENROLMENT_TOKEN: await hub.app.localEnrolment() };
  const first = startProcess(environment);
  await until(async () => (await seqsOfBoot(hub, before.boot)).length === 500);
  await until(() => recordsIn(folder).length === 0);
  const boot = (await until(async () => (await rowsOf(hub)).find((row) => row.boot !== before.boot))).boot;
  proxy.refuse(true);
  proxy.reset();
  // The first ones go to disk after 10 s, the others at once.
  await until(() => recordsIn(folder).length >= 13, '13 records on disk', 40_000);
  first.kill('SIGKILL');
  await until(() => first.signalCode);
  const last = recordsIn(folder).at(-1)!.seq;
  proxy.refuse(false);
  const second = startProcess(environment);
  await until(async () => (await seqsOfBoot(hub, boot)).length >= last);
  expect(await seqsOfBoot(hub, boot)).toEqual(upTo(last));
  expect(await seqsOfBoot(hub, before.boot)).toEqual(upTo(500));
  second.kill('SIGTERM');
  await until(() => second.exitCode !== null);
  expect(second.exitCode).toBe(0);
  const told = await until(async () => {
    const rows = await hub.database.sql<{ data: string }[]>`select data::text as data from publication`;
    const events = rows.map(({ data }) => JSON.parse(data) as Event).filter(({ what }) => what === 'gap_filled');
    return events.find(({ details }) => String(details['why']).includes('restart') && Number(details['samples']) >= 500);
  });
  expect(told.details['lost']).toBeUndefined();
}, 120_000);

test('a network that is away for longer than memory holds: nothing is missing, nothing twice, the disk is empty again', async () => {
  const hub = await startTestApp(onTestFinished);
  const proxy = await proxyTo(hub);
  const stateDir = makeFolder();
  const agent = await startInProcess(urlOf(proxy), stateDir, await hub.app.localEnrolment(), 50);
  await until(async () => (await rowsOf(hub)).length > 10);
  proxy.refuse(true);
  proxy.reset();
  await until(() => agent.spool.depth > 250, '250 publications that wait', 60_000);
  const waiting = agent.spool.depth;
  expect([...agent.spool.unacknowledged()].length).toBeLessThan(30);
  proxy.refuse(false);
  await until(() => agent.spool.depth < 3, 'all committed', 40_000);
  await agent.close();
  const seqs = await seqsOfBoot(hub, agent.boot);
  expect(seqs.length).toBeGreaterThan(waiting);
  expect(seqs).toEqual(upTo(seqs.length));
  expect(agent.spool.dropped).toBe(0);
}, 120_000);

test('a second agent on the same folder says so and ends; after the first one it may', async () => {
  const hub = await startTestApp(onTestFinished);
  const stateDir = makeFolder();
  const first = await startInProcess(hub.url, stateDir, await hub.app.localEnrolment(), 1_000);
  const second = startProcess({ HUB_URL: hub.url, STATE_DIR: stateDir });
  let told = '';
  second.stderr!.on('data', (data) => (told += String(data)));
  await until(() => second.exitCode !== null, 'the second to end', 20_000);
  expect(second.exitCode).toBe(1);
  expect(told).toContain(`Another agent uses the state folder ${stateDir}`);
  expect(told).not.toContain('    at ');
  await first.close();
  const third = await startInProcess(hub.url, stateDir, undefined, 1_000);
  await until(() => third.link.connection);
}, 60_000);

const disk = needs('root', 'linux');

disk.test('a full disk: the oldest make room, counted, and what comes after is kept', async () => {
  const small = mountSmallDisk((close) => onTestFinished(close), join(makeFolder(), 'disk'), 8 * 2 ** 20);
  const { spool, add, tick, deliver, lines } = openTestSpool({ folder: join(small.folder, 'spool') });
  add(12, 1_300);
  await tick();
  let memory = 0;
  for (let index = 0; index < 100; index += 1) {
    add(100, 1_300);
    await tick();
    memory = Math.max(memory, [...spool.unacknowledged()].length);
  }
  expect(memory).toBeLessThan(120);
  expect(spool.untold.map(({ why }) => why)).toEqual(['disk_full']);
  const got = seqsOf(await deliver());
  expect(got).toEqual(upTo(10_012, spool.dropped + 1));
  expect(got.length).toBeGreaterThan(3_000);
  process.stdout.write(`full disk of 8 MB: ${got.length} of 10012 kept, ${spool.dropped} dropped, at most ${memory} in memory\n`);
  // Others take all of it: memory holds what it can.
  small.fill();
  add(900, 1_300);
  await tick();
  expect([...spool.unacknowledged()].length).toBeLessThanOrEqual(600);
  expect(lines.some(({ msg }) => msg.includes('cannot use its disk'))).toBe(true);
  small.free();
  add(1, 1_300);
  await tick();
  expect(spool.trouble).toBeUndefined();
  const rest = seqsOf(await deliver());
  expect(rest).toEqual(upTo(10_913, 10_913 - rest.length + 1));
  expect(rest.length).toBeGreaterThanOrEqual(600);
});

disk.test('a disk that became read-only: what is there is delivered, what is new waits in memory', async () => {
  const small = mountSmallDisk((close) => onTestFinished(close), join(makeFolder(), 'disk'), 2 ** 21);
  const folder = join(small.folder, 'spool');
  const before = openTestSpool({ folder });
  before.add(30);
  before.spool.close();
  execFileSync('mount', ['-o', 'remount,ro', small.folder]);
  const { spool, add, tick, deliver } = openTestSpool({ folder });
  {
    add(30);
    await tick();
    const got = await deliver();
    expect(seqsOf(got)).toEqual([...upTo(30), ...upTo(30)]);
    expect([spool.depth, spool.dropped]).toEqual([0, 0]);
    add(700);
    await tick();
    expect(spool.untold).toMatchObject([{ why: 'disk_failed', samples: 100 }]);
    spool.close();
  }
});
