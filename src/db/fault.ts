/** Tells the faults of a database apart: set up wrongly, away, or refusing the data. */

/** What keeps the hub from using its database and a person must mend; the message says how. Show it without a stack. */
export class DatabaseFault extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'DatabaseFault';
  }
}

/** The code of a thrown value: an SQLSTATE, an errno name or a code of postgres.js; '' where it has none. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

const lost = new Set([
  // postgres.js
  'CONNECTION_CLOSED',
  'CONNECTION_ENDED',
  'CONNECTION_DESTROYED',
  'CONNECT_TIMEOUT',
  'PING_TIMEOUT',
  // the operating system; ENOENT: no such socket file
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'ENOENT',
  'EACCES',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENETDOWN',
  'EHOSTDOWN',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EMFILE',
  'ENFILE',
]);

// SQLSTATE classes that blame the server, its resources or the moment, never the rows:
// connection, resources (disk full, too many connections), operator intervention (shutdown, time-out), system error,
// rollback by deadlock, internal error.
const serversFault = new Set(['08', '53', '57', '58', '40', 'XX']);
// A failover left us on a standby; a lock was not to be had.
const momentary = new Set(['25006', '55P03', '25P03']);

/** True where the database is away or cannot at the moment, so that the same statement may succeed later; false where it refused the data. */
export function isAway(error: unknown): boolean {
  const code = codeOf(error);
  if (lost.has(code)) return true;
  return /^[0-9A-Z]{5}$/.test(code) && (serversFault.has(code.slice(0, 2)) || momentary.has(code));
}
