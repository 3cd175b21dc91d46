/** Gathers questions of one sort that come close together, so that their source is asked once for all of them. */

export interface GatherOptions<Question, Answer> {
  /** Answers all of them, in their order; rejects where it can answer none. */
  ask(questions: readonly Question[]): Promise<readonly Answer[]>;
  /** Questions about the same are never asked together: the later one waits for the next time. */
  about(question: Question): string;
  /** Questions within so long of the last asking are asked together. */
  gatherMs?: number;
  maxTogether?: number;
}

interface Waiting<Question, Answer> extends PromiseWithResolvers<Answer> {
  question: Question;
}

/** As many questions wait as there are askers, which it does not bound. */
export class Gather<Question, Answer> {
  readonly #options: GatherOptions<Question, Answer>;
  readonly #gatherMs: number;
  #waiting: Waiting<Question, Answer>[] = [];
  #lastMs = -Infinity;
  #isDue = false;

  constructor(options: GatherOptions<Question, Answer>) {
    this.#options = options;
    this.#gatherMs = options.gatherMs ?? 10;
  }

  ask(question: Question): Promise<Answer> {
    const waiting = { question, ...Promise.withResolvers<Answer>() };
    this.#waiting.push(waiting);
    this.#schedule();
    return waiting.promise;
  }

  /** The first question after a while is asked at the end of the turn, those right behind it together. */
  #schedule(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    const waitMs = this.#lastMs + this.#gatherMs - performance.now();
    if (waitMs > 0) setTimeout(() => void this.#askAll(), waitMs);
    else setImmediate(() => void this.#askAll());
  }

  async #askAll(): Promise<void> {
    this.#isDue = false;
    this.#lastMs = performance.now();
    const together = this.#take();
    if (this.#waiting.length > 0) this.#schedule();
    try {
      const answers = await this.#options.ask(together.map(({ question }) => question));
      for (const [index, { resolve }] of together.entries()) resolve(answers[index]!);
    } catch (error) {
      for (const { reject } of together) reject(error);
    }
  }

  #take(): Waiting<Question, Answer>[] {
    const { about, maxTogether = 1_000 } = this.#options;
    const together = new Map<string, Waiting<Question, Answer>>();
    const later: Waiting<Question, Answer>[] = [];
    for (const waiting of this.#waiting) {
      const key = about(waiting.question);
      if (together.size >= maxTogether || together.has(key)) later.push(waiting);
      else together.set(key, waiting);
    }
    this.#waiting = later;
    return [...together.values()];
  }
}
