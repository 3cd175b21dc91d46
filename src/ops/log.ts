/** The log: JSON lines with secrets taken out. */

import { pino } from 'pino';
import type { DestinationStream, Level, Logger } from 'pino';

export type Log = Logger;

const secretKeys = [
  'authorization',
  'cookie',
  'set-cookie',
  'token',
  'accessToken',
  'refreshToken',
  'refresh',
  'password',
  'current',
  'secret',
  'secretKey',
  'privateKey',
  'email',
];

/** Each key at the top and up to three objects deep, which covers `req.headers.cookie` and a body inside an error. */
const secretPaths = secretKeys.flatMap((key) => ['', '*', '*.*', '*.*.*'].map((above) => `${above}["${key}"]`));

/** Writes to standard output, or to `destination`. Control characters in values are escaped by JSON, so one record is one line. */
export function createLog(level: Level | 'silent', destination?: DestinationStream): Log {
  const options = {
    level,
    base: null,
    timestamp: (): string => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: { paths: secretPaths, censor: '[hidden]' },
    serializers: { req: describeRequest, res: describeReply },
  };
  return destination ? pino(options, destination) : pino(options);
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
