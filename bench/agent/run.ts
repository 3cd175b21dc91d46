/**
 * What an agent costs the machine it watches: CPU, memory, bytes on the wire at one sample a second (goal G12), beside a naive
 * loop over systeminformation and a Node that does nothing, all in the same run. `-- --seconds=60`
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { machineConstants } from '../../agent/collectors/linux/auxv.ts';
import { agentNodeFlags, unpackAgent } from '../../src/api/agentPackage.ts';
import { startAgentHub } from '../../test/support/agentHub.ts';
import { until } from '../../test/support/until.ts';

if (process.platform !== 'linux') {
  console.log('The benchmark of the agent reads /proc: Linux only.');
  process.exit(0);
}

const seconds = Number(process.argv.find((one) => one.startsWith('--seconds='))?.slice(10) ?? 60);
/** Starting costs more than running; it is left out. */
const warmUpMs = 12_000;
const { ticksPerSecond } = machineConstants();

const naive = `
import si from 'systeminformation';
setInterval(async () => {
  const all = await Promise.all([si.currentLoad(), si.mem(), si.networkStats(), si.disksIO(), si.fsStats(), si.fsSize(), si.processes(), si.time(), si.cpuTemperature()]);
  JSON.stringify(all);
}, 1000);`;

/** CPU seconds of a process and of the children it waited for. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
    .replace(/^.*\) /, '')
    .split(' ')
    .map(Number);
  return (fields[11]! + fields[12]! + fields[13]! + fields[14]!) / ticksPerSecond;
}

const rssBytes = (pid: number): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))![1]) * 1024;

interface Cost {
  cpuShare: number;
  rssBytes: number;
}

const hub = await startAgentHub();
const folder = mkdtempSync(join(tmpdir(), 'bench-agent-'));
const children: ChildProcess[] = [];
const start = (args: string[], env: Record<string, string> = {}): number => {
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'ignore', 'inherit'],
    cwd: import.meta.dirname,
    env: { PATH: process.env['PATH'], ...env },
  });
  children.push(child);
  return child.pid!;
};

try {
  const main = await unpackAgent(join(folder, 'agent'));
  const environment = { HUB_URL: hub.url, ENROLMENT_TOKEN: 'token', STATE_DIR: join(folder, 'state') };
  const agent = start([...agentNodeFlags, main], environment);
  const loop = start(['--input-type=module', '-e', naive]);
  const idle = start(['-e', 'setInterval(() => {}, 1000)']);
  await until(() => hub.committed.length > 0);
  await sleep(warmUpMs);

  const pids = [agent, loop, idle];
  const before = pids.map(cpuSeconds);
  const trafficBefore = hub.traffic();
  const committedBefore = hub.committed.length;
  const beganMs = performance.now();
  await sleep(seconds * 1_000);
  const tookS = (performance.now() - beganMs) / 1_000;
  const [own, naiveLoop, nothing] = pids.map((pid, index): Cost => ({
    cpuShare: (cpuSeconds(pid) - before[index]!) / tookS,
    rssBytes: rssBytes(pid),
  })) as [Cost, Cost, Cost];
  const traffic = hub.traffic();
  const up = (traffic.received - trafficBefore.received) / tookS;
  const down = (traffic.sent - trafficBefore.sent) / tookS;

  const samples = hub.committed.slice(committedBefore).filter((one) => one.kind === 'sample');
  const last = samples.at(-1);
  const metrics = last?.kind === 'sample' ? Object.keys(last.metrics).length : 0;
  const row = (name: string, cost: Cost): string =>
    `${name.padEnd(34)} ${(cost.cpuShare * 100).toFixed(2).padStart(7)} % ${(cost.rssBytes / 1e6).toFixed(1).padStart(8)} MB`;
  console.log(
    `over ${tookS.toFixed(0)} s, Node ${process.version}, ${samples.length} samples of ${metrics} metrics, ${JSON.stringify(last).length} bytes of JSON each`,
  );
  console.log(`${''.padEnd(34)}     CPU of a core      RSS`);
  console.log(row('hostroom agent', own));
  console.log(row('naive systeminformation loop', naiveLoop));
  console.log(row('Node that does nothing', nothing));
  console.log(`on the wire: ${up.toFixed(0)} B/s up, ${down.toFixed(0)} B/s down (replies, pings), without IP and TCP headers`);
  const verdict = (name: string, value: number, goal: number, stretch: number, text: string): void =>
    console.log(`G12 ${name}: ${text} — goal ${value <= goal ? 'met' : 'MISSED'}, stretch ${value <= stretch ? 'met' : 'missed'}`);
  verdict(
    'CPU',
    own.cpuShare,
    0.005,
    0.003,
    `${(own.cpuShare * 100).toFixed(2)} % of a core (≤ 0.5 %, stretch 0.3 %), ${(own.cpuShare / naiveLoop.cpuShare).toFixed(3)}× the naive loop`,
  );
  verdict('RSS', own.rssBytes, 60e6, 55e6, `${(own.rssBytes / 1e6).toFixed(1)} MB (≤ 60 MB, stretch 55 MB)`);
  verdict('wire', up + down, 1_200, 250, `${(up + down).toFixed(0)} B/s both ways (≤ 1,200 B/s, stretch 250 B/s)`);
} finally {
  for (const child of children) child.kill('SIGKILL');
  await hub.close();
  rmSync(folder, { recursive: true, force: true });
}
