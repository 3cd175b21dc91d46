/** The log: JSON lines with secrets taken out. */

import { pino } from 'pino';
import type { DestinationStream, Level, Logger } from 'pino';

export type Log = Logger;

const secretKeys = new Set([
  'authorization',
  'cookie',
  'cookies',
  'set-cookie',
  'token',
  'accesstoken',
  'accessToken',
  'refreshtoken',
  'refreshToken',
  'refresh',
  'password',
  'current',
  'secret',
  'secretkey',
  'secretKey',
  'privatekey',
  'privateKey',
  'email',
]);
const hidden = '[hidden]';
const maxDepth = 5;

/** Writes to standard output, or to `destination`. Control characters in values are escaped by JSON, so one record is one line. */
export function createLog(level: Level | 'silent', destination?: DestinationStream): Log {
  const options = {
    level,
    base: null,
    timestamp: (): string => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }), log: hideSecrets },
    // For the bindings of child loggers, which no formatter sees; without wildcards it looks at the top only.
    redact: { paths: [...secretKeys].map((key) => `["${key}"]`), censor: hidden },
    serializers: { req: describeRequest, res: describeReply, err: describeError },
  };
  return destination ? pino(options, destination) : pino(options);
}

/** A copy without secrets, by the names of their fields. pino's own `redact` walks into Buffers and throws there. */
export function hideSecrets(record: Record<string, unknown>): Record<string, unknown> {
  return hide(record, 0) as Record<string, unknown>;
}

function hide(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return depth < maxDepth ? value.map((item) => hide(item, depth + 1)) : '[…]';
  const prototype: unknown = Object.getPrototypeOf(value);
  // Anything with a class is left to its serializer.
  if (prototype !== Object.prototype && prototype !== null) return ArrayBuffer.isView(value) ? '[bytes]' : value;
  if (depth >= maxDepth) return '{…}';
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, secretKeys.has(key.toLowerCase()) ? hidden : hide(item, depth + 1)]),
  );
}

interface RequestLike {
  method?: string;
  url?: string;
  ip?: string;
}

/** Without the query and the headers: both may carry secrets. */
const describeRequest = (request: RequestLike): object => ({
  method: request.method,
  path: request.url?.split(/[?#]/, 1)[0],
  address: request.ip,
});

const describeReply = (reply: { statusCode?: number }): object => ({ status: reply.statusCode });

/** Only what explains the failure: errors of drivers carry queries, parameters and packets as further fields. */
function describeError(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return hide(error, 1);
  const { name, message, stack, cause } = error;
  const code = 'code' in error ? error.code : undefined;
  return { name, message, code, stack, ...(cause === undefined || depth > 3 ? {} : { cause: describeError(cause, depth + 1) }) };
}
