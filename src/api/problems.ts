/** Turns everything that goes wrong in a request into problem details (RFC 9457). */

import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { isAway } from '../db/database.ts';
import { AppError, faults } from '../errors.ts';
import type { FaultCode } from '../errors.ts';
import { newId } from '../lib/id.ts';
import { idPattern, namePattern } from '../protocol/rest.ts';
import type { Problem } from '../protocol/rest.ts';

/** Fastify's own refusals, by its codes. */
const known: Record<string, [FaultCode, string]> = {
  FST_ERR_CTP_BODY_TOO_LARGE: ['too_large', 'A body may have 100 KB.'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ['unsupported_media_type', 'Send application/json.'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['invalid', 'The body is not as long as Content-Length says.'],
  FST_ERR_BAD_URL: ['invalid', 'The path is not validly encoded.'],
};

/** What the client may know; undefined for a failure of the hub itself. */
export function explain(error: unknown): { code: FaultCode; detail: string } | undefined {
  if (error instanceof AppError) return error;
  if (isAway(error)) return { code: 'unavailable', detail: faults.unavailable.title };
  if (!(error instanceof Error)) return undefined;
  const { code, validation, validationContext, statusCode } = error as Partial<FastifyError>;
  if (validation) return { code: 'invalid', detail: describeValidation(validation[0], validationContext) };
  const found = known[code ?? ''];
  if (found) return { code: found[0], detail: found[1] };
  return statusCode !== undefined && statusCode >= 400 && statusCode < 500 ? { code: 'invalid', detail: faults.invalid.title } : undefined;
}

/** Answers, and gives the log what the client must not see. */
export function sendProblem(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  onFailure: (error: unknown) => void,
): FastifyReply {
  const explained = explain(error);
  if (!explained) onFailure(error);
  const { code, detail } = explained ?? { code: 'internal', detail: faults.internal.title };
  const { status, title } = faults[code];
  if (code === 'unauthorized') void reply.header('www-authenticate', 'Bearer');
  if (code === 'unavailable' || code === 'busy') void reply.header('retry-after', '2');
  if (code === 'too_many_requests') void reply.header('retry-after', '60');
  const problem: Problem = { type: 'about:blank', title, status, code, detail, request: request.id };
  // As bytes: a serializer of the route knows only its good answers.
  return reply
    .code(status)
    .type('application/problem+json')
    .header('cache-control', 'no-store')
    .send(Buffer.from(JSON.stringify(problem)));
}

/** Answers what no route gets to see: a head too long or too slow, or no HTTP at all. The connection ends. */
export function refuseUnread(error: NodeJS.ErrnoException, socket: Socket): void {
  if (socket.destroyed || error.code === 'ECONNRESET') return;
  const code = unread[error.code ?? ''] ?? 'invalid';
  const { status, title } = faults[code];
  const problem: Problem = { type: 'about:blank', title, status, code, detail: title, request: newId() };
  const body = JSON.stringify(problem);
  const head = [`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, 'Content-Type: application/problem+json', `Content-Length: ${body.length}`];
  if (socket.writable) socket.write(`${[...head, 'Connection: close'].join('\r\n')}\r\n\r\n${body}`);
  socket.destroy(error);
}

/** By the codes of Node's parser. */
const unread: Record<string, FaultCode> = { HPE_HEADER_OVERFLOW: 'head_too_large', ERR_HTTP_REQUEST_TIMEOUT: 'too_slow' };

/** What a pattern wants, said for people. */
const remedies = new Map<string, string>([
  [idPattern, 'send an id as the hub gave it, a UUID in lower case.'],
  [namePattern, 'send one line with visible text, without control characters.'],
]);

interface Complaint {
  keyword?: string;
  instancePath?: string;
  message?: string;
  params?: Record<string, unknown>;
}

/** Names the field first. */
function describeValidation(complaint: Complaint | undefined, where = 'body'): string {
  const { keyword, instancePath = '', message = 'is not valid', params = {} } = complaint ?? {};
  const field = instancePath.slice(1).replaceAll('/', '.') || where;
  const missing = params['requiredProperties'];
  // What a closed schema does not know has the schema "false".
  if (keyword === 'boolean') return `${field}: unknown; leave it out (${where}).`;
  if (keyword === 'required' && Array.isArray(missing)) return `${missing.join(', ')}: missing (${where}).`;
  return `${field}: ${remedies.get(String(params['pattern'])) ?? `${message}.`}`;
}
