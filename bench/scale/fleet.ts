/** A fleet as numbers: replicas that hold connections, know each other by rows that are up to two seconds old, and take whom the proxy sends. */

import { refusalChance } from '../../src/cluster/share.ts';

export const tickMs = 250;
const rowEveryMs = 2_000;
/** A client comes back after up to so long: full jitter of the SDK's first waits. */
const backWithinMs = 1_000;

export interface Row {
  connections: number;
  ageMs: number;
  writtenMs: number;
}

export interface Replica {
  connections: number;
  row: Row;
  /** When it writes its row, within `rowEveryMs`. */
  phaseMs: number;
  isShedding: boolean;
  isDraining: boolean;
  /** The chance that it refuses whom the proxy sends. */
  refusal: number;
  /** Taken in within this second. */
  taken: number;
  /** When its closing should be over; 0: not begun. */
  endMs: number;
  /** When nobody was left. */
  emptyMs: number | undefined;
}

export interface FleetOptions {
  random: () => number;
  /** How many replicas the proxy asks when one answers 503; 1: it passes that on, and the client tries again later. */
  tries: number;
}

export class Fleet {
  readonly replicas: Replica[];
  nowMs = 0;
  /** Closed and on their way back, by the tick in which they arrive. */
  readonly #away: number[] = [];
  readonly #options: FleetOptions;
  #moved = 0;
  #busiest = 0;

  constructor(counts: readonly number[], options: FleetOptions) {
    this.#options = options;
    this.replicas = counts.map((connections) => ({
      connections,
      row: { connections, ageMs: 0, writtenMs: 0 },
      phaseMs: Math.floor((options.random() * rowEveryMs) / tickMs) * tickMs,
      isShedding: false,
      isDraining: false,
      refusal: 0,
      taken: 0,
      endMs: 0,
      emptyMs: undefined,
    }));
  }

  /** Connections that were closed so far. */
  get moved(): number {
    return this.#moved;
  }

  /** The most connections that one replica took within a second. */
  get busiest(): number {
    return this.#busiest;
  }

  get isSecond(): boolean {
    return this.nowMs % 1_000 === 0;
  }

  /** What the others say, as this replica reads it; draining ones do not count. */
  othersOf(replica: Replica): Row[] {
    const others: Row[] = [];
    for (const other of this.replicas) if (other !== replica && !other.isDraining) others.push(other.row);
    return others;
  }

  close(replica: Replica, count: number): void {
    replica.connections -= count;
    this.#moved += count;
    for (let client = 0; client < count; client++) {
      const tick = 1 + Math.floor((this.#options.random() * backWithinMs) / tickMs);
      this.#away[tick] = (this.#away[tick] ?? 0) + 1;
    }
  }

  /** Lets a tick pass: rows are written, clients come back. */
  pass(): void {
    this.nowMs += tickMs;
    for (const replica of this.replicas) {
      if (this.nowMs % rowEveryMs === replica.phaseMs)
        Object.assign(replica.row, { connections: replica.connections, writtenMs: this.nowMs });
      replica.row.ageMs = this.nowMs - replica.row.writtenMs;
      if (this.isSecond) replica.taken = 0;
    }
    this.#away.shift();
    const arriving = this.#away[0] ?? 0;
    this.#away[0] = 0;
    const open = this.replicas.filter(({ isDraining, endMs }) => !isDraining || endMs === 0);
    // They change with the rows.
    if (this.isSecond) for (const replica of open) replica.refusal = replica.isDraining ? 0 : refusalChance(this.#shareOf(replica));
    for (let client = 0; client < arriving; client++) this.#admit(open);
  }

  #admit(open: readonly Replica[]): void {
    const { random, tries } = this.#options;
    for (let again = 0; again < tries; again++) {
      const replica = open[Math.floor(random() * open.length)]!;
      if (random() < replica.refusal) continue;
      replica.connections++;
      this.#busiest = Math.max(this.#busiest, ++replica.taken);
      return;
    }
    // Refused everywhere it was offered: the client waits and tries again.
    const later = 1 + Math.floor((random() * backWithinMs) / tickMs);
    this.#away[later] = (this.#away[later] ?? 0) + 1;
  }

  #shareOf(replica: Replica): Parameters<typeof refusalChance>[0] {
    const isAnyDraining = this.replicas.some(({ isDraining }) => isDraining);
    return { own: replica.connections, others: this.othersOf(replica), isAnyDraining, unchangedMs: this.nowMs };
  }
}
