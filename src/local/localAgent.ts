/** Keeps an agent for this very machine running beside the hub, as a process of its own. */

import { spawn, type ChildProcess } from 'node:child_process';
import { rm } from 'node:fs/promises';
import process from 'node:process';
import { agentNodeFlags, unpackAgent } from '../api/agentPackage.ts';
import { environmentFor } from '../config.ts';

export interface LocalAgentOptions {
  /** Where the packed agent is unpacked: it takes less memory than the sources do. */
  programDir: string;
  stateDir: string;
  hubUrl: string;
  /** Absent when the state folder holds an identity already. */
  enrolmentToken?: string;
  logLevel?: string;
  /** Told when the agent ended by itself and will be started again. */
  onExit: (code: number | null, signal: NodeJS.Signals | null, againInMs: number) => void;
}

const restartMs = { first: 1_000, most: 60_000 };

/** Starts the agent and starts it again, with doubling pauses, when it ends by itself. It leaves with the hub, however that ends. */
export async function startLocalAgent(options: LocalAgentOptions): Promise<{ close(): Promise<void> }> {
  await rm(options.programDir, { recursive: true, force: true });
  const program = await unpackAgent(options.programDir);
  let child: ChildProcess | undefined;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;
  let pauseMs = restartMs.first;

  const start = (): void => {
    const startedAt = performance.now();
    child = spawn(process.execPath, [...agentNodeFlags, program], {
      // The channel tells the agent when the hub is gone, even after kill -9.
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      env: environmentFor({
        HUB_URL: options.hubUrl,
        STATE_DIR: options.stateDir,
        ENROLMENT_TOKEN: options.enrolmentToken,
        LOG_LEVEL: options.logLevel,
        // Plain http, wherever the hub listens: the way does not leave this machine.
        INSECURE: '1',
      }),
    });
    child.once('exit', (code, signal) => {
      child = undefined;
      if (closed) return;
      if (performance.now() - startedAt > restartMs.most) pauseMs = restartMs.first;
      options.onExit(code, signal, pauseMs);
      timer = setTimeout(start, pauseMs);
      pauseMs = Math.min(pauseMs * 2, restartMs.most);
    });
  };
  start();

  return {
    async close(): Promise<void> {
      closed = true;
      clearTimeout(timer);
      const leaving = child;
      if (!leaving || leaving.exitCode !== null || leaving.signalCode !== null) return;
      await new Promise<void>((resolve) => {
        const overdue = setTimeout(() => leaving.kill('SIGKILL'), 3_000);
        leaving.once('exit', () => {
          clearTimeout(overdue);
          resolve();
        });
        leaving.kill('SIGTERM');
      });
    },
  };
}
