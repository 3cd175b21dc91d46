/** How code behind a command says no: by an error reply, or by closing the connection. */

import type { EndCode, ErrorCode } from '../protocol/codes.ts';

/** Answered with an error reply. `message` replaces the table's text where it helps the caller. */
export class Refusal extends Error {
  readonly error: ErrorCode;

  constructor(error: ErrorCode, message: string = error.message, options?: ErrorOptions) {
    super(message, options);
    this.name = 'Refusal';
    this.error = error;
  }
}

/** Answered by closing the connection with `end`; the message is for the log. */
export class Closing extends Error {
  readonly end: EndCode;

  constructor(end: EndCode, message: string = end.reason, options?: ErrorOptions) {
    super(message, options);
    this.name = 'Closing';
    this.end = end;
  }
}
