/** Hub time as the agent knows it: its own monotonic clock plus a measured offset. */

/** Smaller corrections are ignored: they are the jitter of the measurement. */
const ignoredMs = 250;
/** A step back of more than this cannot be hidden by counting on: the hub would refuse the samples. */
const largeStepMs = 60_000;

export type Correction = 'first' | 'kept' | 'corrected';

/** All `…Ms` parameters are readings of the monotonic clock; what comes out is integer milliseconds since 1970 in hub time. */
export class HubClock {
  #offsetMs: number | undefined;
  #lastAt = 0;

  /** False until the first contact with a hub. */
  get isKnown(): boolean {
    return this.#offsetMs !== undefined;
  }

  /** Added to the monotonic clock it gives hub time. Throws before the first contact. */
  get offsetMs(): number {
    if (this.#offsetMs === undefined) throw new Error('hub time is not known yet');
    return this.#offsetMs;
  }

  /** Takes one answer of the hub about its time, given somewhere between sending and receiving. */
  sync(hubTime: number, sentMs: number, receivedMs: number): Correction {
    const offsetMs = hubTime - (sentMs + receivedMs) / 2;
    if (this.#offsetMs === undefined) {
      this.#offsetMs = offsetMs;
      return 'first';
    }
    const stepMs = offsetMs - this.#offsetMs;
    // A slow answer says little about the time.
    if (Math.abs(stepMs) < ignoredMs + (receivedMs - sentMs) / 2) return 'kept';
    this.#offsetMs = offsetMs;
    if (stepMs < -largeStepMs) this.#lastAt = 0;
    return 'corrected';
  }

  /** Hub time at that moment. Throws before the first contact. */
  timeAt(nowMs: number): number {
    if (this.#offsetMs === undefined) throw new Error('hub time is not known yet');
    return Math.round(nowMs + this.#offsetMs);
  }

  /** The `at` for something taken at that moment; strictly greater than every one given before. */
  stamp(takenMs: number): number {
    this.#lastAt = Math.max(this.timeAt(takenMs), this.#lastAt + 1);
    return this.#lastAt;
  }
}

/** Tells when the wall clock and the monotonic clock part: the machine slept, or its clock was set. */
export class ClockWatch {
  #differenceMs: number | undefined;

  /** True once per jump of more than 250 ms since the last call. */
  hasJumped(wallMs: number, nowMs: number): boolean {
    const differenceMs = wallMs - nowMs;
    const jumped = this.#differenceMs !== undefined && Math.abs(differenceMs - this.#differenceMs) > ignoredMs;
    if (jumped || this.#differenceMs === undefined) this.#differenceMs = differenceMs;
    return jumped;
  }
}
