/** Reads JSON bodies without trusting them. */

import type { FastifyInstance } from 'fastify';
import { AppError } from '../errors.ts';
import { nestsDeeper } from '../lib/json.ts';

const maxDepth = 16;
const forbiddenKeys = new Set(['__proto__', 'constructor', 'prototype']);

/** Takes `application/json` and nothing else; an empty body is no body. */
export function takeJsonOnly(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, text, done) => {
    try {
      done(null, text === '' ? undefined : parseBody(text as string));
    } catch (error) {
      done(error as Error);
    }
  });
}

/** Throws `invalid` for text that is no JSON, is nested deeper than 16, or has keys and texts that make trouble further on. */
export function parseBody(text: string): unknown {
  // Before JSON.parse: what is nested 100,000 deep must not reach anything recursive.
  if (nestsDeeper(text, maxDepth)) throw new AppError('invalid', `The body is nested deeper than ${maxDepth} levels.`);
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (error) {
    throw new AppError('invalid', 'The body is not valid JSON.', { cause: error });
  }
  refuseTrouble(body);
  return body;
}

function refuseTrouble(value: unknown): void {
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new AppError('invalid', 'The body has a number that is too large.');
  } else if (typeof value === 'string') {
    // PostgreSQL keeps neither a NUL nor half of a surrogate pair.
    if (value.includes('\0') || !value.isWellFormed())
      throw new AppError('invalid', 'The body has a text with signs that are no Unicode text.');
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, item] of Object.entries(value)) {
      if (forbiddenKeys.has(key)) throw new AppError('invalid', `${key}: this key is not allowed.`);
      refuseTrouble(key);
      refuseTrouble(item);
    }
  }
}
