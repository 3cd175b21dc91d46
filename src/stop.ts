/** Runs a program until a signal or a crash, then stops it in order. */

import process from 'node:process';

export interface Running {
  /** Stops everything that was started; rejects when something would not stop. */
  close(): Promise<void>;
}

export interface StopOptions {
  /** A stop that takes longer is given up. */
  graceMs: number;
  /** Whether a start may be cut off because nothing of it would stay behind; else a signal waits until it is done. */
  mayCutStart: boolean;
  /** npm runs this program: then it passes on the signal that a terminal has sent to both, and may die without telling anybody. */
  underNpm: boolean;
  /** Told of a crash, and of what kept the stop from being clean. */
  failed(error: unknown, what: string): void;
  /** Told once, before anything is closed. */
  stopping?(): void;
  stopped?(): void;
}

const signals = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;
const npmEchoMs = 1_000;
const longestStartMs = 60_000;
const orphanCheckMs = 500;

/**
 * Waits for a signal, closes what `starting` gives, and ends the process: 0 after a clean stop, 1 when closing failed, took longer than
 * `graceMs`, or followed a crash. A second signal ends it at once with 130. Whoever made `starting` handles its failure.
 */
export function stopOnSignal(starting: Promise<Running>, options: StopOptions): void {
  const { graceMs, failed } = options;
  let started = false;
  let stoppingSinceMs: number | undefined;
  starting.then(
    () => (started = true),
    () => undefined,
  );

  const stop = async (code: number): Promise<void> => {
    stoppingSinceMs = performance.now();
    // A start that has begun is let end first: half a start could not be undone.
    const limitMs = started ? graceMs : graceMs + longestStartMs;
    const overdue = setTimeout(() => {
      failed(new Error(`did not stop within ${limitMs} ms`), 'the stop was not clean');
      process.exit(1);
    }, limitMs);
    try {
      options.stopping?.();
      if (!started && options.mayCutStart) process.exit(code);
      const running = await starting;
      await running.close();
      options.stopped?.();
      process.exit(code);
    } catch (error) {
      // A start that failed has told why itself.
      if (started) failed(error, 'the stop was not clean');
      process.exit(1);
    } finally {
      clearTimeout(overdue);
    }
  };

  const onSignal = (): void => {
    if (stoppingSinceMs === undefined) void stop(0);
    else if (!options.underNpm || performance.now() - stoppingSinceMs > npmEchoMs) process.exit(130);
  };
  for (const signal of signals) process.on(signal, onSignal);
  // Started by another program over a channel: goes with it, however that ends.
  process.on('disconnect', () => stoppingSinceMs === undefined && void stop(0));
  process.on('uncaughtException', (error) => {
    failed(error, 'a crash; stopping');
    if (stoppingSinceMs === undefined) void stop(1);
  });
  if (options.underNpm) watchParent(() => stoppingSinceMs === undefined && void stop(0));
}

/** npm starts a shell, which may die of a signal without passing it on. */
function watchParent(gone: () => unknown): void {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    gone();
  }, orphanCheckMs);
  timer.unref();
}
