/** Runs a program until SIGTERM or SIGINT, then stops it in order. */

import process from 'node:process';

export interface Running {
  /** Stops everything that was started; rejects when something would not stop. */
  close(): Promise<void>;
}

/**
 * Waits for the first signal, closes, and ends the process: 0 after a clean stop, 1 when closing failed or took longer than
 * `graceMs`. A second signal ends it at once with 130.
 */
export function stopOnSignal(running: Running, graceMs: number, report: (error: unknown) => void): void {
  let stopping = false;
  const onSignal = (): void => {
    if (stopping) process.exit(130);
    stopping = true;
    const overdue = setTimeout(() => {
      report(new Error(`did not stop within ${graceMs} ms`));
      process.exit(1);
    }, graceMs);
    running.close().then(
      () => {
        clearTimeout(overdue);
        process.exit(0);
      },
      (error: unknown) => {
        report(error);
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
}
