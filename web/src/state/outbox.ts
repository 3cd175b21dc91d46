/** Messages on their way to the hub: kept until acknowledged, sent again when the line is back. */

import { Problem } from '../api.ts';
import { Store } from '../lib/store.ts';
import type { Unsent } from './timeline.ts';

export interface OutboxOptions {
  room: string;
  /** Survives a reload; absent in tests of other things. */
  storage?: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;
  /** Resolves when the hub has committed the message; the same key twice is one message. */
  send: (draft: { text: string; at?: number; key: string }) => Promise<void>;
  now: () => number;
  /** Calls back later; returns what cancels it. */
  later: (run: () => void, delayMs: number) => () => void;
}

const maxWaiting = 50;
const firstRetryMs = 1_000;
const lastRetryMs = 20_000;

export class Outbox extends Store<readonly Unsent[]> {
  readonly #options: OutboxOptions;
  #sending = false;
  #retryMs = firstRetryMs;
  #cancel: (() => void) | undefined;
  #closed = false;

  constructor(options: OutboxOptions) {
    super(restore(options));
    this.#options = options;
    void this.#work();
  }

  /** Queues a message; false when too many are waiting already. */
  post(text: string, at: number | undefined): boolean {
    if (this.get().length >= maxWaiting) return false;
    const key = crypto.randomUUID();
    this.#change([...this.get(), { kind: 'unsent', key, text, at, writtenAt: this.#options.now(), state: 'waiting' }]);
    void this.#work();
    return true;
  }

  /** Sends one that was refused once more. */
  retry(key: string): void {
    this.#change(this.get().map((item) => (item.key === key ? { ...item, state: 'waiting', reason: undefined } : item)));
    void this.#work();
  }

  /** Gives up one that was refused. */
  discard(key: string): void {
    this.#change(this.get().filter((item) => item.key !== key));
  }

  /** Tries at once, as when the connection came back. */
  wake(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#retryMs = firstRetryMs;
    void this.#work();
  }

  close(): void {
    this.#closed = true;
    this.#cancel?.();
  }

  /** One at a time, in the order of writing, so that nobody's two messages change places. */
  async #work(): Promise<void> {
    if (this.#sending || this.#closed || this.#cancel) return;
    this.#sending = true;
    for (;;) {
      const next = this.get().find((item) => item.state === 'waiting');
      if (!next || this.#closed) break;
      try {
        await this.#options.send({ text: next.text, at: next.at, key: next.key });
        this.#retryMs = firstRetryMs;
        this.discard(next.key);
      } catch (error) {
        if (error instanceof Problem && error.isFinal) {
          const reason = error.message;
          this.#change(this.get().map((item) => (item.key === next.key ? { ...item, state: 'failed', reason } : item)));
          continue;
        }
        this.#cancel = this.#options.later(() => {
          this.#cancel = undefined;
          void this.#work();
        }, this.#retryMs);
        this.#retryMs = Math.min(lastRetryMs, this.#retryMs * 2);
        break;
      }
    }
    this.#sending = false;
  }

  #change(items: readonly Unsent[]): void {
    this.set(items);
    const { storage, room } = this.#options;
    if (items.length === 0) storage?.removeItem(storageKey(room));
    else storage?.setItem(storageKey(room), JSON.stringify(items));
  }
}

const storageKey = (room: string): string => `hostroom.unsent.${room}`;

function restore({ storage, room }: OutboxOptions): readonly Unsent[] {
  const text = storage?.getItem(storageKey(room));
  if (!text) return [];
  try {
    return (JSON.parse(text) as Unsent[]).slice(0, maxWaiting);
  } catch (error) {
    console.warn('Unsent messages could not be read and are given up.', error);
    storage?.removeItem(storageKey(room));
    return [];
  }
}
