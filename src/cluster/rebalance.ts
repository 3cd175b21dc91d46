/** Gives connections away, little by little, to replicas that have fewer than their share. */

import type { Client } from '../hub/client.ts';
import { closes } from '../protocol/codes.ts';
import type { Moves } from '../relay/moves.ts';
import { isIdle, ownerOf, sample } from './clients.ts';
import { fleetShedPerSecond, shedPerSecond } from './pace.ts';
import { countReceivers, decideShare, type FleetView, type ShareVerdict } from './share.ts';

export interface RebalanceParts {
  view(): FleetView;
  /** The connected ones. */
  clients(): Iterable<Client>;
  moves: Pick<Moves, 'take'>;
  moved(count: number): void;
  /** Shedding has come to its end. */
  settled(moved: number, verdict: ShareVerdict): void;
  failed(error: unknown): void;
}

const everyMs = 1_000;

export class Rebalance {
  readonly #parts: RebalanceParts;
  #timer: NodeJS.Timeout | undefined;
  #isShedding = false;
  #moved = 0;

  constructor(parts: RebalanceParts) {
    this.#parts = parts;
  }

  start(): void {
    // Not in step with the others.
    this.#timer = setTimeout(() => void this.#run(), everyMs * (0.8 + 0.4 * Math.random())).unref();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  async #run(): Promise<void> {
    const running = this.#timer;
    try {
      await this.#step();
    } catch (error) {
      this.#parts.failed(error);
    }
    if (this.#timer === running) this.start();
  }

  async #step(): Promise<void> {
    const view = this.#parts.view();
    const verdict = decideShare(view, this.#isShedding);
    const wasShedding = this.#isShedding;
    this.#isShedding = verdict.act === 'shed';
    if (verdict.act === 'shed') {
      await this.#shed(Math.min(verdict.surplus, Math.round(shedPerSecond(view.own))), fleetShedPerSecond(countReceivers(view)));
    } else if (wasShedding) {
      this.#parts.settled(this.#moved, verdict);
      this.#moved = 0;
    }
  }

  async #shed(count: number, fleetPerSecond: number): Promise<void> {
    const now = performance.now();
    const open = Array.from(this.#parts.clients()).filter((client) => !client.closed && isIdle(client));
    // More than needed, since some were moved already.
    const people = sample(
      open.filter(({ identity }) => identity.kind === 'user'),
      2 * count,
    );
    const agents = sample(
      open.filter(({ identity }) => identity.kind === 'agent'),
      count,
    );
    const candidates = [...people, ...agents].map((client) => ({ client, key: ownerOf(client), openMs: now - client.openedAt }));
    const granted = await this.#parts.moves.take(candidates, count, fleetPerSecond);
    let moved = 0;
    for (const { client } of granted) {
      // It may have sent something meanwhile.
      if (client.closed || !isIdle(client)) continue;
      client.close(closes.forceReconnect);
      moved++;
    }
    this.#moved += moved;
    if (moved > 0) this.#parts.moved(moved);
  }
}
