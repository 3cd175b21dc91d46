/** How much one connection may send: commands and bytes that refill evenly with time. */

import type { Identity } from '../hub/client.ts';
import { Bucket } from '../lib/bucket.ts';
import type { Method } from '../protocol/commands.ts';

export interface Rate {
  perSecond: number;
  burst: number;
}

/** What is absent is not limited. */
export interface Rates {
  /** Commands of a person. */
  commands?: Rate;
  /** Bytes of a person's frames. */
  bytes?: Rate;
  /** Publications of an agent. What it kept while it was away comes by rpc, which is bounded by what waits for its commit. */
  publications?: Rate;
}

export class Allowance {
  readonly #kind: Identity['kind'];
  readonly #commands: Bucket | undefined;
  readonly #bytes: Bucket | undefined;

  constructor(kind: Identity['kind'], { commands, bytes, publications }: Rates) {
    const bucket = (rate: Rate | undefined): Bucket | undefined => rate && new Bucket(rate.perSecond, rate.burst);
    this.#kind = kind;
    this.#commands = bucket(kind === 'user' ? commands : publications);
    this.#bytes = bucket(kind === 'user' ? bytes : undefined);
  }

  /** False where this command is one too many. */
  takeCommand(method: Method): boolean {
    return (this.#kind === 'agent' && method !== 'publish') || (this.#commands?.take() ?? true);
  }

  /** False where this frame is too much. */
  takeFrame(bytes: number): boolean {
    return this.#bytes?.take(bytes) ?? true;
  }
}
