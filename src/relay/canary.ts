/** Tells whether publications pass through Redis, by sending records to itself. */

export interface CanaryOptions {
  /** Publishes to the channel that this replica follows itself. */
  send: (text: string) => Promise<unknown>;
  /** `state` is another one. */
  changed: () => void;
  /** None has arrived for longer than it should take, too short to call it away: told with every beat until one does. */
  late?: () => void;
  /** What is sent is taken but does not arrive: the subscription is to be made anew. */
  deaf: () => void;
  /** What is sent has not been taken for a while, at last because of `error`. */
  mute?: (error: unknown) => void;
  /** The way there and back. */
  seconds?: (seconds: number) => void;
  everyMs?: number;
  /** So long without an arrival is away. */
  silentMs?: number;
}

/** `unknown` until the first one has come back, or was missed. */
export type CanaryState = 'unknown' | 'there' | 'away';

export class Canary {
  readonly #options: CanaryOptions;
  readonly #timer: NodeJS.Timeout;
  readonly #silentMs: number;
  readonly #lateMs: number;
  /** Sent and not seen again, by number, with the time of sending; at most as many as fly within `silentMs`, and one more. */
  readonly #flying = new Map<string, number>();
  #count = 0;
  #state: CanaryState = 'unknown';
  #lastArrivalMs = performance.now();
  #lastTakenMs = performance.now();
  #lastRenewalMs = performance.now();

  constructor(options: CanaryOptions) {
    this.#options = options;
    const { everyMs = 500, silentMs = 3_000 } = options;
    this.#silentMs = silentMs;
    this.#lateMs = 1.6 * everyMs;
    this.#timer = setInterval(() => this.#beat(), everyMs);
  }

  get state(): CanaryState {
    return this.#state;
  }

  /** A text of the channel. Anything but a canary of this replica that still flies is nobody's proof. */
  arrived(text: string): void {
    const sentMs = this.#flying.get(text);
    if (sentMs === undefined) return;
    const now = performance.now();
    this.#flying.delete(text);
    this.#lastArrivalMs = now;
    this.#options.seconds?.((now - sentMs) / 1_000);
    this.#set('there');
  }

  close(): void {
    clearInterval(this.#timer);
    this.#flying.clear();
  }

  #beat(): void {
    const now = performance.now();
    for (const [text, sentMs] of this.#flying) if (now - sentMs > this.#silentMs) this.#flying.delete(text);
    const silenceMs = now - this.#lastArrivalMs;
    if (silenceMs > this.#silentMs) this.#set('away');
    else if (silenceMs > this.#lateMs && this.#state === 'there') this.#options.late?.();
    this.fly();
  }

  /** Sends one more, now. */
  fly(): void {
    const text = String(++this.#count);
    this.#flying.set(text, performance.now());
    this.#options.send(text).then(
      () => this.#taken(),
      (error: unknown) => this.#refused(text, error),
    );
  }

  /** Redis is away, which its not arriving tells. */
  #refused(text: string, error: unknown): void {
    const now = performance.now();
    this.#flying.delete(text);
    if (now - Math.max(this.#lastTakenMs, this.#lastRenewalMs) <= 2 * this.#silentMs) return;
    this.#lastRenewalMs = now;
    this.#options.mute?.(error);
  }

  #taken(): void {
    const now = performance.now();
    this.#lastTakenMs = now;
    if (now - Math.max(this.#lastArrivalMs, this.#lastRenewalMs) <= this.#silentMs) return;
    this.#lastRenewalMs = now;
    this.#options.deaf();
  }

  #set(state: CanaryState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#options.changed();
  }
}
