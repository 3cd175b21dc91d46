/** Tells hub time: this process's monotonic clock plus the measured distance to PostgreSQL's clock. */

import type { BaseLogger } from 'pino';
import type { Clock } from '../lib/clock.ts';
import type { Sql } from './database.ts';

export interface HubClock extends Clock {
  /** How far PostgreSQL's clock is ahead of this machine's, in ms, for a metric. */
  offsetMs(): number;
  /** Whether the last measurement failed; looked at every 30 s, while it is so every second. */
  isAway(): boolean;
  /** Measures now; rejects where PostgreSQL is away. */
  measure(): Promise<void>;
  close(): void;
}

export interface HubClockOptions {
  sql: Sql;
  log: Pick<BaseLogger, 'warn'>;
  /** Default 30,000. */
  everyMs?: number;
  /** For tests; default: performance's monotonic clock. */
  monotonicMs?: () => number;
}

const rounds = 5;
const retryMs = 1_000;
/** So far a clock that was turned back is waited for: less than live samples may be off. Beyond, nothing new would be taken for as long. */
const maxStillMs = 60_000;

/**
 * Measures once, then again every `everyMs`; while PostgreSQL is away the last offset holds.
 * `now()` does not go back: where a measurement would turn it back, it stands still until real time has caught up. Only where that
 * would take over a minute, because PostgreSQL's clock was set back, does it follow, with a warning.
 */
export async function startHubClock(options: HubClockOptions): Promise<HubClock> {
  const { sql, log, everyMs = 30_000, monotonicMs = () => performance.now() } = options;
  /** Hub time minus monotonic time. */
  let base = 0;
  let last = 0;
  let closed = false;
  let away = false;

  async function measure(): Promise<void> {
    let best = { roundTripMs: Number.POSITIVE_INFINITY, base };
    for (let i = 0; i < rounds; i++) {
      const sent = monotonicMs();
      const [row] = await sql<[{ ms: number }]>`select (extract(epoch from clock_timestamp()) * 1000)::float8 as ms`;
      const received = monotonicMs();
      // The answer was made about half way between; the shortest trip has the smallest error.
      if (received - sent < best.roundTripMs) best = { roundTripMs: received - sent, base: row.ms - (sent + received) / 2 };
    }
    base = best.base;
    const aheadMs = last - (base + monotonicMs());
    if (aheadMs <= maxStillMs) return;
    log.warn({ aheadMs: Math.round(aheadMs) }, 'the clock of PostgreSQL was set back; hub time follows');
    last = 0;
  }

  async function again(): Promise<void> {
    try {
      await measure();
      away = false;
    } catch (error) {
      if (!away && !closed) log.warn({ reason: (error as Error).message }, 'hub time could not be measured; the last offset holds');
      away = true;
    }
  }

  let timer: NodeJS.Timeout | undefined;
  const schedule = (): void => {
    if (closed) return;
    timer = setTimeout(() => void again().then(schedule), away ? Math.min(retryMs, everyMs) : everyMs);
    timer.unref();
  };

  await measure();
  schedule();
  return {
    now() {
      last = Math.max(last, Math.floor(base + monotonicMs()));
      return last;
    },
    offsetMs: () => base + monotonicMs() - Date.now(),
    isAway: () => away,
    measure,
    close() {
      closed = true;
      clearTimeout(timer);
    },
  };
}
