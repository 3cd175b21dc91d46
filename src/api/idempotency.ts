/** Answers a retry of a change, recognised by its Idempotency-Key, with the answer of the first try. */

import { createHash } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { AppError } from '../errors.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** What this request is remembered as while it runs. */
    firstTry: FirstTry | null;
  }
  interface FastifyContextConfig {
    /** The route keeps its keys itself, with what they made. */
    keepsKeys?: true;
  }
}

interface Answer {
  status: number;
  type: string | undefined;
  body: string | null;
}

interface FirstTry {
  id: string;
  bodyHash: string;
  /** Undefined where the try was refused or failed: a retry is then a try of its own. */
  answer: Promise<Answer | undefined>;
  settle(answer: Answer | undefined): void;
}

/** Kept in this process for so long; of more than `maxKept` the oldest is forgotten. */
const keptMs = 10 * 60_000;
const maxKept = 2_000;
const maxKeyChars = 64;

/** The key of a request, where it has one; throws AppError invalid for one that cannot be kept. */
export function idempotencyKeyOf(request: FastifyRequest): string | undefined {
  const key = request.headers['idempotency-key'];
  if (key === undefined) return undefined;
  if (typeof key !== 'string' || key.length === 0 || key.length > maxKeyChars)
    throw new AppError('invalid', `Idempotency-Key: send 1 to ${maxKeyChars} characters.`);
  return key;
}

/** For all routes of signed-in people that are added to `app` afterwards; keys are apart by person, method and address. */
export function answerRetries(app: FastifyInstance): void {
  const tries = new Map<string, FirstTry & { untilMs: number }>();
  app.decorateRequest('firstTry', null);

  app.addHook('preHandler', async (request, reply) => {
    const key = isChange(request) ? idempotencyKeyOf(request) : undefined;
    if (key === undefined || !request.user) return;
    const id = [request.user.id, request.method, request.url, key].join(' ');
    const bodyHash = createHash('sha256')
      .update(JSON.stringify(request.body) ?? '')
      .digest('base64');
    for (let first = tries.get(id); first && first.untilMs > performance.now(); first = tries.get(id)) {
      if (first.bodyHash !== bodyHash) throw new AppError('conflict', 'Idempotency-Key: was used for another body; send a new one.');
      // oxlint-disable-next-line no-await-in-loop -- of several retries after a refused try one goes on, the others wait for it
      const answer = await first.answer;
      if (answer) return repeat(reply, answer);
    }
    const { promise, resolve } = Promise.withResolvers<Answer | undefined>();
    const own = { id, bodyHash, answer: promise, settle: resolve, untilMs: performance.now() + keptMs };
    tries.delete(id);
    tries.set(id, own);
    if (tries.size > maxKept) tries.delete(tries.keys().next().value!);
    request.firstTry = own;
  });

  // Also runs where the client is gone: its retry is what the answer is kept for.
  app.addHook('onSend', async (request, reply, payload) => {
    const own = request.firstTry;
    if (!own) return;
    const isDone = reply.statusCode < 400;
    if (!isDone && tries.get(own.id)?.answer === own.answer) tries.delete(own.id);
    const type = reply.getHeader('content-type') as string | undefined;
    own.settle(isDone ? { status: reply.statusCode, type, body: typeof payload === 'string' ? payload : null } : undefined);
  });
}

const isChange = ({ method, routeOptions }: FastifyRequest): boolean =>
  !['GET', 'HEAD', 'OPTIONS'].includes(method) && !routeOptions.config.keepsKeys;

function repeat(reply: FastifyReply, { status, type, body }: Answer): FastifyReply {
  if (type !== undefined) void reply.type(type);
  return reply
    .code(status)
    .header('idempotency-replayed', 'true')
    .send(body === null ? null : Buffer.from(body));
}
