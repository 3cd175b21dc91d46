/** Says in an operator's words, with the setting to look at, why Redis does not let this hub in. */

const known: readonly [RegExp, string][] = [
  [
    /\b(WRONGPASS|NOAUTH)\b/,
    'REDIS_URL: Redis refuses the user or the password; with Sentinels that ask for one, look at sentinel_username and sentinel_password too',
  ],
  [
    /\bNOPERM\b|user executing the script can't/,
    'REDIS_URL: the user may not do in Redis what the hub needs; docs/operations.md names the rights',
  ],
  [
    /self[- ]signed certificate|unable to (verify|get)|certificate (has expired|is not yet valid)|altnames/i,
    'REDIS_URL: the certificate of Redis is not trusted; name its authority in NODE_EXTRA_CA_CERTS, and Redis as its certificate does',
  ],
  [
    // What its connections met with is told by neither of these clients.
    /All sentinels are unreachable|Failed to refresh slots cache.*Connection is closed/,
    'REDIS_URL: no Sentinel, or no node of the Cluster, is reached or lets this hub in; over TLS its authority has to be named in NODE_EXTRA_CA_CERTS',
  ],
];

/** What went wrong, and whether it is one of those that stay until somebody changes a setting. */
export interface RedisFault {
  text: string;
  isSetting: boolean;
}

export function explainFault(error: Error): RedisFault {
  // A Cluster says only that it found no node; the last one says why.
  const { lastNodeError } = error as { lastNodeError?: Error | null };
  const message = lastNodeError ? `${error.message} ${lastNodeError.message}` : error.message;
  const setting = known.find(([pattern]) => pattern.test(message))?.[1];
  return { text: setting === undefined ? message : `${setting} (${message})`, isSetting: setting !== undefined };
}
