/** Adds up what was lost until the hub has been told. */

import type { Loss, LossWhy } from '../../src/protocol/kinds.ts';

/** As much as the hub believes. */
const maxSamples = 1e9;

/** One entry per reason, however much is lost. */
export class Losses {
  readonly #byWhy = new Map<LossWhy, Loss>();
  #total = 0;

  constructor(untold: readonly Loss[] = []) {
    for (const { why, from, to, samples } of untold) this.#merge(why, from, to, samples);
  }

  /** `from` and `to` in ms since 1970, in any order. */
  add(why: LossWhy, from: number, to: number, samples: number): void {
    if (samples <= 0) return;
    this.#total += samples;
    this.#merge(why, Math.round(Math.min(from, to)), Math.round(Math.max(from, to)), samples);
  }

  /** Publications lost since the start of this process. */
  get total(): number {
    return this.#total;
  }

  /** What the hub does not know yet. */
  get untold(): Loss[] {
    return [...this.#byWhy.values()].map((loss) => ({ ...loss, samples: Math.min(loss.samples, maxSamples) }));
  }

  /** The hub knows of these; what was added meanwhile stays. */
  told(losses: readonly Loss[]): void {
    for (const { why, samples, to } of losses) {
      const loss = this.#byWhy.get(why);
      if (!loss) continue;
      if (loss.samples <= samples) this.#byWhy.delete(why);
      else this.#byWhy.set(why, { why, samples: loss.samples - samples, from: Math.min(to, loss.to), to: loss.to });
    }
  }

  #merge(why: LossWhy, from: number, to: number, samples: number): void {
    const loss = this.#byWhy.get(why);
    if (!loss) this.#byWhy.set(why, { why, from, to, samples });
    else {
      loss.from = Math.min(loss.from, from);
      loss.to = Math.max(loss.to, to);
      loss.samples += samples;
    }
  }
}
