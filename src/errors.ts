/** The errors a person or program outside may see, each with one stable code. */

export interface Fault {
  status: number;
  /** What went wrong, in one sentence; the detail names the field and the remedy. */
  title: string;
}

export const faults = {
  invalid: { status: 400, title: 'The request is not valid.' },
  unauthorized: { status: 401, title: 'Sign in first.' },
  wrong_credentials: { status: 401, title: 'E-mail or password is wrong.' },
  forbidden: { status: 403, title: 'Your role does not allow this.' },
  foreign_origin: { status: 403, title: 'This origin may not use the hub.' },
  not_found: { status: 404, title: 'There is no such thing, or you may not see it.' },
  method_not_allowed: { status: 405, title: 'This path takes other methods.' },
  too_slow: { status: 408, title: 'The request took too long to arrive.' },
  conflict: { status: 409, title: 'This contradicts what is already there.' },
  too_large: { status: 413, title: 'The body is too large.' },
  unsupported_media_type: { status: 415, title: 'Send application/json.' },
  token_used: { status: 410, title: 'This token was used already or has expired.' },
  too_many_requests: { status: 429, title: 'Too many requests; wait a little.' },
  head_too_large: { status: 431, title: 'Address and headers are too long; 8 KB is the most.' },
  internal: { status: 500, title: 'The hub failed at this; the log has the reason.' },
  busy: { status: 503, title: 'The hub has too much to do for this; try again shortly.' },
  unavailable: { status: 503, title: 'The database is away; try again shortly.' },
} as const satisfies Record<string, Fault>;

export type FaultCode = keyof typeof faults;

/** A refusal with a stable code. `detail` names the field and the remedy. */
export class AppError extends Error {
  readonly code: FaultCode;
  readonly detail: string;

  constructor(code: FaultCode, detail: string, options?: ErrorOptions) {
    super(detail, options);
    this.name = 'AppError';
    this.code = code;
    this.detail = detail;
  }

  get status(): number {
    return faults[this.code].status;
  }
}
