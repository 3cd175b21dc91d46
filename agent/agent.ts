/** Builds an agent out of its parts. */

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
import { MemorySpool, type Spool } from './spool.ts';

export interface Agent {
  /** The id of this start. */
  readonly boot: string;
  readonly link: Link;
  readonly spool: Spool;
  /** Rejects where the agent cannot go on without a person, with a message for them; resolves after `close`. */
  readonly done: Promise<void>;
  /** Says goodbye to the hub, closes every file, timer and child. */
  close(): Promise<void>;
}

export async function startAgent(config: AgentConfig, parts: { log: Log; version: string }): Promise<Agent> {
  const { log, version } = parts;
  const boot = newBoot();
  const clock = new HubClock();
  const clockWatch = new ClockWatch();
  const spool = new MemorySpool();
  const probing = new AbortController();
  const link = new Link({ ...config, boot, version, clock, spool, log, inventory: startInventory(version, clock, log, probing.signal) });
  const { collectors, scanProcesses } = await platformCollectors(log);
  const self = new SelfCollector(() => ({ spool: spool.depth, dropped: spool.dropped + link.refused, sentBytes: link.sentBytes }));
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
    probing.abort();
    for (const collector of collectors) collector.close();
  };
  return {
    boot,
    link,
    spool,
    done: done.catch((error: unknown) => {
      stopReading();
      throw error;
    }),
    close: async () => {
      stopReading();
      await link.close();
    },
  };
}
