/** R23: the machine's clock jumps by an hour, both ways, under a running agent; time stays the hub's. */

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { startAgentHub } from '../support/agentHub.ts';
import { root } from '../support/app.ts';
import { needs } from '../support/needs.ts';
import { until } from '../support/until.ts';
import { makeWrongClock } from '../support/wrongClock.ts';

needs('linux', 'faketime').test(
  'a clock an hour ahead, then right, then an hour behind: every sample has the time of the hub, in order',
  async () => {
    const hub = await startAgentHub();
    const folder = mkdtempSync(join(tmpdir(), 'agent-clock-'));
    onTestFinished(async () => {
      await hub.close();
      rmSync(folder, { recursive: true, force: true });
    });
    const clock = makeWrongClock(folder, 'shift', 3_600);
    const agent = spawn(process.execPath, [join(root, 'agent/main.ts')], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {
        PATH: process.env['PATH'],
        HUB_URL: hub.url,
        ENROLMENT_TOKEN: 'token',
        STATE_DIR: join(folder, 'state'),
        ...clock.environment,
      },
    });
    onTestFinished(() => void agent.kill('SIGKILL'));
    let log = '';
    agent.stdout.on('data', (data) => (log += String(data)));
    /** What the agent's clock says, by its log. */
    const agentTime = (): number => Number(/"time":(\d+)[^\n]*\n$/.exec(log)?.[1]);
    const arrived: { at: number; late: number }[] = [];
    hub.behaviour.onPublish = ({ kind, at }) => {
      if (kind === 'sample') arrived.push({ at, late: Date.now() - at });
      return undefined;
    };
    await until(() => arrived.length >= 4);
    expect(Math.abs(agentTime() - Date.now() - 3_600_000)).toBeLessThan(60_000);
    for (const ahead of [0, -3_600, 3_600]) {
      clock.set(ahead);
      const before = arrived.length;
      await until(() => arrived.length >= before + 4);
    }
    const at = arrived.map((one) => one.at);
    expect(at).toEqual([...new Set(at)].toSorted((one, other) => one - other));
    expect(Math.max(...arrived.map(({ late }) => Math.abs(late)))).toBeLessThan(20_000);
    expect(hub.faults).toEqual([]);
    agent.kill('SIGTERM');
    await until(() => agent.exitCode !== null);
    process.stdout.write(
      `clock jumps: ${arrived.length} samples, at most ${Math.max(...arrived.map(({ late }) => Math.abs(late)))} ms off the hub's time\n`,
    );
  },
  60_000,
);
