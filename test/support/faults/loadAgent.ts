/** An agent's real link and spool with synthetic samples, which writes down what it sent and what was acknowledged. */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { HubClock } from '../../../agent/clock.ts';
import type { Link } from '../../../agent/link.ts';
import type { Backlog, Draft, Spool, SpoolEntry, SpoolParts } from '../../../agent/spool.ts';
import { parseRoom } from '../../../src/protocol/rooms.ts';
import { presentParts, type AgentParts } from './agentParts.ts';
import type { Sent } from './checker.ts';

export interface LoadAgentOptions {
  hubUrl: string;
  enrolmentToken: string;
  /** Of this agent alone. */
  stateDir: string;
  name: string;
  intervalMs: number;
  clock?: HubClock;
  spoolBytes?: number;
  /** That of an earlier start on the same folder, to go on with. */
  witness?: Witness;
  /** Of which version it is; default: the present one. */
  parts?: AgentParts;
}

export interface LoadAgent {
  readonly boot: string;
  /** Once enrolled. */
  host(): string | undefined;
  readonly link: Link;
  readonly clock: HubClock;
  readonly spool: Spool;
  readonly witness: Witness;
  readonly stateDir: string;
  /** What waits for its acknowledgement. */
  readonly depth: number;
  readonly acknowledged: number;
  /** Ends the sampling; the link goes on. */
  stopSampling(): void;
  /** Takes one sample more, now. */
  sample(): void;
  ledger(): Sent[];
  /** Ms from the end of a connection to the next acknowledgement, of each time since the last call. */
  takeOutages(): number[];
  /** As a process that is asked to stop. */
  close(): Promise<void>;
  /** As a process that is killed: nothing more is written. */
  abandon(): Promise<void>;
}

/** Remembers all publications of one state folder, over restarts. */
export class Witness {
  host: string | undefined;
  acknowledged = 0;
  /** Told of each acknowledgement. */
  onAcknowledged = (): void => undefined;
  readonly #all = new Map<string, { entry: SpoolEntry; isAcknowledged: boolean }>();

  add(entry: SpoolEntry): void {
    this.#all.set(`${entry.boot} ${entry.seq}`, { entry, isAcknowledged: false });
  }

  acknowledge({ boot, seq, at }: Pick<SpoolEntry, 'boot' | 'seq' | 'at'>): void {
    this.onAcknowledged();
    const one = this.#all.get(`${boot} ${seq}`);
    if (!one) return;
    // Perhaps stamped when it was read from disk.
    one.entry.at = at;
    if (!one.isAcknowledged) this.acknowledged += 1;
    one.isAcknowledged = true;
  }

  ledger(isKept: boolean): Sent[] {
    return [...this.#all.values()].map(({ entry: { boot, seq, at }, isAcknowledged }) => ({
      host: this.host ?? '',
      boot,
      seq,
      at,
      acknowledged: isAcknowledged,
      kept: isKept && !isAcknowledged,
    }));
  }
}

/** The link lets go of a publication only when the hub has answered for it. */
function makeSpool(parts: AgentParts, spoolParts: SpoolParts, witness: Witness): Spool {
  class WitnessedSpool extends parts.Spool {
    override add(draft: Draft): SpoolEntry {
      const entry = super.add(draft);
      witness.add(entry);
      return entry;
    }

    override forget(entry: SpoolEntry): void {
      witness.acknowledge(entry);
      super.forget(entry);
    }

    override forgetBacklog(backlog: Backlog): void {
      for (const entry of backlog.entries) witness.acknowledge(entry);
      super.forgetBacklog(backlog);
    }
  }
  return new WitnessedSpool(spoolParts);
}

/** Some 20 metrics with names of the catalogue, their values changing from sample to sample. */
function metricsOf(seq: number): Record<string, number> {
  const wave = (period: number): number => Math.round((0.5 + Math.sin(seq / period) / 2) * 1e4) / 1e4;
  return {
    'cpu.busy': wave(7),
    'cpu.user': wave(9),
    'cpu.system': wave(11),
    'cpu.iowait': wave(50),
    'memory.total': 8e9,
    'memory.used': Math.round(4e9 * wave(100)),
    'memory.available': Math.round(4e9 * wave(90)),
    'load.1': wave(20),
    'load.5': wave(60),
    'net.eth0.receive': Math.round(1e6 * wave(5)),
    'net.eth0.transmit': Math.round(1e5 * wave(6)),
    'disk.sda.read': Math.round(1e5 * wave(13)),
    'disk.sda.write': Math.round(1e5 * wave(17)),
    'fs.%2F.total': 5e11,
    'fs.%2F.used': Math.round(2e11 + 1e6 * seq),
    uptime: seq,
  };
}

export function startLoadAgent(options: LoadAgentOptions): LoadAgent {
  const { hubUrl, enrolmentToken, stateDir, name, intervalMs, witness = new Witness(), parts = presentParts } = options;
  const clock = options.clock ?? new parts.HubClock();
  mkdirSync(stateDir, { recursive: true });
  const boot = parts.newBoot();
  const silent = parts.createLog('silent');
  const journal = new parts.Journal({ folder: join(stateDir, 'spool'), maxBytes: options.spoolBytes ?? 256 * 1024 * 1024, log: silent });
  const spool = makeSpool(parts, { boot, clock, journal, maxAgeMs: 86_400_000 }, witness);
  const keeping = setInterval(() => void spool.keep(), 1_000);
  let outages: number[] = [];
  let endedMs: number | undefined;
  // The link tells of its room, and of the end of a connection, there alone.
  const info = (message: string, fields?: object): void => {
    if (fields && 'room' in fields) witness.host ??= parseRoom(String(fields.room))?.id;
    if (message === 'connection ended') endedMs ??= performance.now();
  };
  witness.onAcknowledged = () => {
    if (endedMs !== undefined) outages.push(performance.now() - endedMs);
    endedMs = undefined;
  };
  const log = { ...silent, info };
  const link = new parts.Link({
    hubUrl,
    enrolmentToken,
    stateDir,
    name,
    boot,
    version: 'test',
    clock,
    spool,
    log,
    inventory: async () => undefined,
  });
  // A refused enrolment shows as an agent that never gets anything acknowledged.
  link.start().catch(() => undefined);
  let seq = 0;
  const sample = (takenMs = performance.now()): void => {
    seq += 1;
    const at = clock.isKnown ? clock.stamp(takenMs) : undefined;
    link.publish({ kind: 'sample', boot, seq, takenMs, at, body: `"metrics":${JSON.stringify(metricsOf(seq))}` });
  };
  const schedule = parts.every(intervalMs, sample);
  let isOver = false;
  const end = async (isOrderly: boolean): Promise<void> => {
    if (isOver) return;
    isOver = true;
    schedule.stop();
    clearInterval(keeping);
    if (isOrderly) spool.spill();
    await link.close();
    if (isOrderly) spool.close();
  };
  return {
    boot,
    host: () => witness.host,
    link,
    clock,
    spool,
    witness,
    stateDir,
    get depth() {
      return spool.depth;
    },
    get acknowledged() {
      return witness.acknowledged;
    },
    stopSampling: () => schedule.stop(),
    sample: () => sample(),
    ledger: () => witness.ledger(spool.depth > 0),
    takeOutages: () => {
      const taken = outages;
      outages = [];
      return taken;
    },
    close: () => end(true),
    abandon: () => end(false),
  };
}
