/** A spool on disk for tests: its clock is turned by hand, and what a hub would have got is written down. */

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { HubClock } from '../../agent/clock.ts';
import { newBoot } from '../../agent/identity.ts';
import { createLog } from '../../agent/log.ts';
import { Spool, type SpoolEntry } from '../../agent/spool.ts';
import { Journal } from '../../agent/spool/journal.ts';

export const hubEpochMs = 1_800_000_000_000;

export interface TestSpool {
  spool: Spool;
  journal: Journal;
  clock: HubClock;
  boot: string;
  lines: { msg: string; error?: string }[];
  time: { nowMs: number; wallMs: number };
  /** Adds so many samples, a second apart. */
  add(count: number, bodyBytes?: number): SpoolEntry[];
  /** Lets a second pass. */
  tick(): Promise<void>;
  /** As a hub that commits everything: what it got, oldest first. */
  deliver(): Promise<SpoolEntry[]>;
}

export interface TestSpoolOptions {
  folder: string;
  maxBytes?: number;
  maxAgeMs?: number;
  /** Milliseconds of this process' monotonic clock at its start. */
  nowMs?: number;
  /** What this machine believes the time to be then. */
  wallMs?: number;
  /** Undefined: no hub was reached yet. */
  hubMs?: number | undefined;
}

export function openTestSpool(options: TestSpoolOptions): TestSpool {
  const { folder, maxBytes = 2 ** 28, maxAgeMs = 86_400_000 } = options;
  const time = { nowMs: options.nowMs ?? 1_000, wallMs: options.wallMs ?? hubEpochMs };
  const clock = new HubClock();
  const hubMs = 'hubMs' in options ? options.hubMs : hubEpochMs;
  if (hubMs !== undefined) clock.sync(hubMs, time.nowMs, time.nowMs);
  const lines: TestSpool['lines'] = [];
  const log = createLog('debug', (line) => lines.push(JSON.parse(line)));
  const boot = newBoot();
  const journal = new Journal({ folder, maxBytes, log });
  const spool = new Spool({ boot, clock, journal, maxAgeMs, nowMs: () => time.nowMs, wallMs: () => time.wallMs });
  let seq = 0;
  const pass = (ms: number): void => {
    time.nowMs += ms;
    time.wallMs += ms;
  };
  const add = (count: number, bodyBytes = 0): SpoolEntry[] =>
    Array.from({ length: count }, () => {
      seq += 1;
      pass(1_000);
      const at = clock.isKnown ? clock.stamp(time.nowMs) : undefined;
      const body = `"metrics":{"n":${seq}}`;
      return spool.add({
        kind: 'sample',
        boot,
        seq,
        takenMs: time.nowMs,
        at,
        body: body + ' '.repeat(Math.max(0, bodyBytes - body.length)),
      });
    });
  const tick = async (): Promise<void> => {
    pass(1_000);
    await spool.keep();
  };
  const deliver = async (): Promise<SpoolEntry[]> => {
    const got: SpoolEntry[] = [];
    while (spool.backlog > 0) {
      const backlog = await spool.readBacklog();
      got.push(...backlog.entries);
      spool.forgetBacklog(backlog);
    }
    for (const entry of [...spool.unacknowledged()]) {
      got.push(entry);
      spool.forget(entry);
    }
    return got;
  };
  return { spool, journal, clock, boot, lines, time, add, tick, deliver };
}

export const segmentFiles = (folder: string): string[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.segment'))
    .toSorted()
    .map((name) => join(folder, name));

export const seqsOf = (entries: readonly { seq: number }[]): number[] => entries.map(({ seq }) => seq);
export const upTo = (last: number, first = 1): number[] => Array.from({ length: last - first + 1 }, (_, index) => first + index);
