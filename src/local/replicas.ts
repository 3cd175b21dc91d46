/** The replicas of a cluster, as many as wished, one change after the other. */

import type { Replica } from './replica.ts';

type Start = (number: number, onChange: () => void) => Promise<Replica>;

export class Replicas {
  readonly #start: Start;
  readonly #point: (replicas: readonly Replica[]) => void;
  readonly #changed: () => void;
  #list: readonly Replica[] = [];
  #changing: Promise<void> = Promise.resolve();
  #isClosed = false;

  /** `point` sends newcomers to these; `changed` is told whenever a process is another. */
  constructor(start: Start, point: (replicas: readonly Replica[]) => void, changed: () => void) {
    this.#start = start;
    this.#point = point;
    this.#changed = () => {
      if (!this.#isClosed) changed();
    };
  }

  get list(): readonly Replica[] {
    return this.#list;
  }

  /** Rejects when a new one does not start; those that did stay. */
  scale(count: number): Promise<void> {
    const change = this.#changing.then(() => (this.#isClosed ? undefined : this.#scale(count)));
    this.#changing = change.catch(() => undefined);
    return change;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#changing;
    await Promise.all(this.#list.map((replica) => replica.close()));
  }

  async #scale(count: number): Promise<void> {
    const leaving = this.#list.slice(count);
    const numbers = Array.from({ length: Math.max(0, count - this.#list.length) }, (_, i) => this.#list.length + i + 1);
    const started = await Promise.allSettled(numbers.map((number) => this.#start(number, this.#changed)));
    const arrived = started.filter((one) => one.status === 'fulfilled').map(({ value }) => value);
    this.#list = [...this.#list.slice(0, count), ...arrived];
    // First nobody new goes there, then they stop.
    this.#point(this.#list);
    await Promise.all(leaving.map((replica) => replica.close()));
    this.#changed();
    const failure = started.find((one) => one.status === 'rejected');
    if (failure) throw failure.reason as Error;
  }
}
