/** Calls at equal distances on the monotonic clock. */

export interface Schedule {
  stop(): void;
}

/**
 * Calls `tick` now and then every `intervalMs` from now, without drift: lateness of one call does not move the next. Moments
 * that passed meanwhile (a stopped process, a sleeping machine) are left out, never made up for.
 */
export function every(intervalMs: number, tick: (nowMs: number) => void): Schedule {
  const startMs = performance.now();
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;
  const run = (): void => {
    tick(performance.now());
    if (isStopped) return;
    const nowMs = performance.now();
    const next = Math.floor((nowMs - startMs) / intervalMs) + 1;
    timer = setTimeout(wake, startMs + next * intervalMs - nowMs);
  };
  const wake = (): void => {
    // A timer counts whole milliseconds and may be early by a part of one, which must not become a second call.
    if (Math.round((performance.now() - startMs) % intervalMs) >= intervalMs - 1) timer = setTimeout(run, 1);
    else run();
  };
  timer = setTimeout(run, 0);
  return {
    stop: () => {
      isStopped = true;
      clearTimeout(timer);
    },
  };
}
