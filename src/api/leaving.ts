/** Tells when a client leaves before its answer. */

import type { FastifyReply } from 'fastify';

/** Aborted once the answer was sent, or its connection closed before that. */
export function leaving({ raw }: FastifyReply): AbortSignal {
  const gone = new AbortController();
  if (raw.destroyed) gone.abort();
  else raw.once('close', () => gone.abort());
  return gone.signal;
}
