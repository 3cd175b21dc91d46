/** What all route files share: the typed app, pages, the documentation of refusals. */

import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify';
import type { IncomingMessage, ServerResponse } from 'node:http';
import Type from 'typebox';
import type { PageQuery } from '../protocol/rest.ts';
import { Problem } from '../protocol/rest.ts';

export type Api = FastifyInstance<RawServerDefault, IncomingMessage, ServerResponse, FastifyBaseLogger, TypeBoxTypeProvider>;

/** Every refusal has the same body; the title of its status says when. */
const refusal = { description: 'Refused, with a stable `code`.', content: { 'application/problem+json': { schema: Problem } } };
export const refusals = { '4xx': refusal, '5xx': refusal };
export const Nothing = Type.Null({ description: 'No content.' });
export const signedIn = [{ accessToken: [] }];

const usualLimit = 100;

/** One row more than asked tells whether there is another page. */
export const toSlice = ({ limit = usualLimit, after }: PageQuery): { limit: number; after: string | undefined } => ({
  limit: limit + 1,
  after,
});

/** The page out of the rows of `toSlice`, whose cursor is the id of its last item. */
export function toPage<T extends { id: string }>(rows: T[], { limit = usualLimit }: PageQuery): { items: T[]; next: string | null } {
  const items = rows.slice(0, limit);
  return { items, next: rows.length > limit ? (items.at(-1)?.id ?? null) : null };
}
