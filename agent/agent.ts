/** Builds an agent out of its parts. */

import { join } from 'node:path';
import type { AgentConfig } from './config.ts';
import { platformCollectors } from './collectors/platform.ts';
import { SelfCollector } from './collectors/self.ts';
import { ClockWatch, HubClock } from './clock.ts';
import { newBoot } from './identity.ts';
import { startInventory } from './inventory.ts';
import { Link } from './link.ts';
import type { Log } from './log.ts';
import { Sampler } from './sampler.ts';
import { every } from './schedule.ts';
import { Spool } from './spool.ts';
import { Cliff } from './spool/cliff.ts';
import { Journal } from './spool/journal.ts';
import { lockState } from './spool/lock.ts';

export interface Agent {
  /** The id of this start. */
  readonly boot: string;
  readonly link: Link;
  readonly spool: Spool;
  /** Rejects where the agent cannot go on without a person, with a message for them; resolves after `close`. */
  readonly done: Promise<void>;
  /** Says goodbye to the hub, leaves on disk what is not committed, closes every file, timer and child. */
  close(): Promise<void>;
}

const keepEveryMs = 1_000;
/** Most replies are a few milliseconds away: what is committed need not come again after the restart. */
const lastRepliesMs = 1_000;

/** Rejects with `StateInUse` where another agent has the state folder. */
export async function startAgent(config: AgentConfig, parts: { log: Log; version: string }): Promise<Agent> {
  const { log, version } = parts;
  const release = await lockState(config.stateDir);
  const boot = newBoot();
  const clock = new HubClock();
  const clockWatch = new ClockWatch();
  const folder = join(config.stateDir, 'spool');
  const { spoolBytes: maxBytes, spoolAgeMs: maxAgeMs } = config;
  const spool = new Spool({ boot, clock, journal: new Journal({ folder, maxBytes, log }), maxAgeMs });
  if (spool.depth > 0) log.info('publications of an earlier start wait on disk', { count: spool.depth, bytes: spool.bytes });
  const cliff = new Cliff({ spool, folder, maxBytes, maxAgeMs });
  const keeping = setInterval(() => {
    spool.keep().catch((error: unknown) => log.error('keeping the spool failed', { error: String(error) }));
  }, keepEveryMs);
  const probing = new AbortController();
  const inventory = startInventory({ version, clock, log, hostRoot: config.hostRoot, signal: probing.signal });
  const link = new Link({ ...config, boot, version, clock, spool, log, inventory });
  const { collectors, scanProcesses } = await platformCollectors(log, config.hostRoot);
  const self = new SelfCollector(() => ({
    spool: spool.depth,
    dropped: spool.dropped + link.refused,
    sentBytes: link.sentBytes,
    spoolBytes: spool.bytes,
    spoolAgeMs: spool.ageMs,
    spoolLeftMs: cliff.leftMs(performance.now()),
  }));
  const sampler = new Sampler({ boot, intervalMs: config.intervalMs, clock, collectors: [...collectors, self], scanProcesses, log });

  const done = link.start();
  const schedule = every(config.intervalMs, (nowMs) => {
    // The monotonic clock stands still while a machine sleeps; samples taken then would be late by that much.
    if (clockWatch.hasJumped(Date.now(), nowMs) && clock.isKnown) {
      link.syncClock().catch((error: unknown) => log.debug('asking for the time failed', { error: String(error) }));
    }
    for (const draft of sampler.takeSample(nowMs)) link.publish(draft);
  });
  const stopReading = (): void => {
    schedule.stop();
    clearInterval(keeping);
    probing.abort();
    for (const collector of collectors) collector.close();
  };
  return {
    boot,
    link,
    spool,
    done: done.catch(async (error: unknown) => {
      stopReading();
      spool.close();
      await release();
      throw error;
    }),
    close: async () => {
      stopReading();
      spool.spill();
      await until(() => spool.depth === 0 || !link.connection || spool.backlog > 0, lastRepliesMs);
      await link.close();
      spool.close();
      await release();
    },
  };
}

async function until(holds: () => boolean, withinMs: number): Promise<void> {
  const giveUpMs = performance.now() + withinMs;
  while (!holds() && performance.now() < giveUpMs) await new Promise((resolve) => setTimeout(resolve, 10));
}
