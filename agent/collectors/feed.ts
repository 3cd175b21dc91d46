/** Reads the lines of a long-lived child process, which it starts again when it ends. */

import { spawn, type ChildProcess } from 'node:child_process';
import type { Log } from '../log.ts';

const firstRestartMs = 1_000;
const lastRestartMs = 5 * 60_000;
/** A child that lasted so long works: its next end is a new trouble. */
const steadyMs = 60_000;
const maxLineLength = 64 * 1024;

export interface Feed {
  close(): void;
}

/** Hands every whole line of the child's output to `onLine`. A program that is missing is said once and tried ever more seldom. */
export function startFeed(command: string, args: readonly string[], log: Log, onLine: (line: string) => void): Feed {
  let child: ChildProcess | undefined;
  let timer: NodeJS.Timeout | undefined;
  let restartMs = firstRestartMs;
  let isClosed = false;

  const run = (): void => {
    const beganMs = performance.now();
    let rest = '';
    let hasEnded = false;
    const ended = (reason: string): void => {
      if (hasEnded || isClosed) return;
      hasEnded = true;
      if (performance.now() - beganMs > steadyMs) restartMs = firstRestartMs;
      if (restartMs === firstRestartMs) log.warn('a helper program ended; its metrics are missing until it is back', { command, reason });
      timer = setTimeout(run, restartMs);
      restartMs = Math.min(lastRestartMs, restartMs * 2);
    };
    child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'], windowsHide: true });
    child.stdout?.setEncoding('utf8').on('data', (part: string) => {
      const lines = (rest + part).split(/\r?\n/);
      rest = lines.pop() ?? '';
      if (rest.length > maxLineLength) rest = '';
      for (const line of lines) onLine(line);
    });
    child.on('error', (error) => ended(error.message));
    child.on('close', (code, signal) => ended(`exit ${code ?? signal}`));
  };

  run();
  return {
    close: () => {
      isClosed = true;
      clearTimeout(timer);
      child?.kill();
    },
  };
}
