/** Sees to it that a command is answered in time, however slow what stands behind it, within a trace of its own. */

import { Refusal } from '../hub/refusal.ts';
import type { Span, Tracing } from '../ops/tracing.ts';
import { errors } from '../protocol/codes.ts';
import type { Method } from '../protocol/commands.ts';

/** One command on its way through its handler. */
export class Call {
  /** The command was answered already: nothing more may come of it. */
  isLate = false;
  /** Undoes what the handler has begun, once it is late. */
  undo: (() => void) | undefined;
  readonly #tracing: Tracing | undefined;
  readonly #span: Span | undefined;
  #isOver = false;

  /** @param tracing absent: no trace @param client id of the connection */
  constructor(tracing: Tracing | undefined, method: Method, client: string) {
    this.#tracing = tracing;
    this.#span = tracing?.start(`command ${method}`, undefined, { client });
  }

  /** For the log; undefined without a trace. */
  get trace(): string | undefined {
    return this.#span?.traceId;
  }

  /** What the handler begins belongs to the trace. */
  run<T>(handler: () => T): T {
    return this.#span && this.#tracing ? this.#tracing.within(this.#span, handler) : handler();
  }

  /** The first time counts. */
  end(error?: unknown): void {
    if (!this.#isOver) this.#span?.end(error);
    this.#isOver = true;
  }

  /** What the handler came to; refuses with error 100 at `lateAt` (`performance.now()`), and lets the handler run on unheard. */
  async within<T>(lateAt: number, handled: Promise<T>): Promise<T> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => {
        this.isLate = true;
        this.undo?.();
        late.reject(new Refusal(errors.internal, 'this takes too long; try again'));
      },
      Math.max(0, lateAt - performance.now()),
    ).unref();
    try {
      return await Promise.race([handled, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }
}
