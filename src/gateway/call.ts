/** Sees to it that a command is answered in time, however slow what stands behind it. */

import { Refusal } from '../hub/refusal.ts';
import { errors } from '../protocol/codes.ts';

/** One command on its way through its handler. */
export class Call {
  /** The command was answered already: nothing more may come of it. */
  isLate = false;
  /** Undoes what the handler has begun, once it is late. */
  undo: (() => void) | undefined;

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
